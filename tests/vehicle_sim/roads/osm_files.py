"""Small OpenStreetMap extracts, written with osmium as the real ones are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import osmium
from osmium.osm import mutable

Nodes = Mapping[int, tuple[float, float]]
Ways = Sequence[tuple[int, Sequence[int], Mapping[str, str]]]
Relations = Sequence[tuple[int, Sequence[tuple[str, int, str]], Mapping[str, str]]]


def write_extract(
    path: Path,
    nodes: Nodes,
    ways: Ways,
    node_tags: Mapping[int, Mapping[str, str]] | None = None,
    relations: Relations = (),
) -> Path:
    """`nodes`: (longitude, latitude) by id; `ways`: id, node ids, tags. The suffix says the format.

    `relations`: id, members (n, w or r; id; role), tags.
    """
    with osmium.SimpleWriter(str(path)) as writer:
        for number in sorted(nodes):
            tags = dict((node_tags or {}).get(number, {}))
            writer.add_node(mutable.Node(id=number, location=nodes[number], tags=tags))
        for number, refs, way_tags in ways:
            writer.add_way(mutable.Way(id=number, nodes=list(refs), tags=dict(way_tags)))
        for number, members, relation_tags in relations:
            writer.add_relation(mutable.Relation(id=number, members=list(members), tags=dict(relation_tags)))
    return path


# A square of 100 m blocks by 60° north: corners 1 to 4 anticlockwise from the south-west, 5 in the
# middle of the south side, a dead end 6 east of corner 2, and an island of roads 7 and 8 far away.
SQUARE_NODES: Nodes = {
    1: (25.0, 60.0),
    2: (25.0018, 60.0),
    3: (25.0018, 60.0009),
    4: (25.0, 60.0009),
    5: (25.0009, 60.0),
    6: (25.0027, 60.0),
    7: (25.01, 60.01),
    8: (25.011, 60.01),
}
SQUARE_WAYS: Ways = (
    (10, (1, 5, 2), {"highway": "residential", "name": "South"}),
    (11, (2, 3, 4), {"highway": "primary", "oneway": "yes", "maxspeed": "50"}),
    (12, (1, 4), {"highway": "primary", "oneway": "-1", "tunnel": "yes"}),
    (13, (2, 6), {"highway": "residential"}),
    (14, (7, 8), {"highway": "residential"}),
    (15, (1, 3), {"highway": "footway"}),
    (16, (1, 3), {"highway": "residential", "access": "private"}),
)
