"""The link profiles and where their figures come from.

Sources, by their short names below:

- **Huang**: Huang et al., "A Close Examination of Performance and Power Characteristics of 4G LTE Networks",
  ACM MobiSys 2012. LTE: promotion 260 ms, tail 11.6 s, median RTT 70 ms. 3G: tail 8.1 s in CELL_DCH.
- **Qian**: Qian et al., "Characterizing Radio Resource Allocation for 3G Networks", ACM IMC 2010. 3G: about
  2 s from idle to CELL_DCH.
- **Narayanan**: Narayanan et al., "A Variegated Look at 5G in the Wild", ACM SIGCOMM 2021. 5G: inactivity
  timer about 10.4 s, promotion some hundred ms.
- **Raca**: Raca et al., "Beyond Throughput, the Next Generation", ACM MMSys 2020. Rates and RTTs on the road.
- **Wang**: Wang et al., "An Untold Story of Middleboxes in Cellular Networks", ACM SIGCOMM 2011. Of 73
  carriers 11 forget an idle TCP connection within 10 minutes, one after 255 s; RFC 5382 asks for 2 h 4 min.
- **36.881**: 3GPP TR 36.881, table 5.2: an LTE handover interrupts user data for 49.5 ms.
- **36.304**: 3GPP TS 36.304: a paging cycle of 1.28 s; half of it passes on average.
- **6298**: RFC 6298 and Linux, whose least retransmission timeout is 200 ms.

What no source gives is marked "chosen". Which figures were compared with what text is in docs/links.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from vehicle_sim.links.cells import RURAL_MACRO, URBAN_MACRO, CellLayer
from vehicle_sim.links.track import Tunnels

_NEVER: Final = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a kind of link is like. Delays are one way.

    Attributes:
        about: one line for a list.
        cells: None: no radio is modelled, the rate is without bound or comes from a trace.
        up_s, down_s: least delay of each direction, apart from waiting for its turn.
        jitter_s: mean of the exponentially distributed rest of the delay.
        loss: share of the moments (see `Line`) in which a packet is lost and sent again.
        promotion_s: from RRC idle to connected; `inactivity_s`: from the last packet back to idle.
        paging_s: what a downlink packet waits for more, when it finds the vehicle idle.
        nat_idle_s: after so long without a packet the NAT forgets a connection.
        nat_rebind_s: mean time between changes of a vehicle's NAT mappings.
        new_address: share of returns from a loss of coverage at which the vehicle attaches anew, and has
            another address.
        buffer_bytes: what waits in each direction before the sender is told to wait.
        track_tunnels: tunnels for clients that never tell their position.
        zones: whether the tunnels of roads and maps count.
    """

    about: str
    cells: CellLayer | None = None
    up_s: float = 0.0
    down_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    promotion_s: float = 0.0
    inactivity_s: float = _NEVER
    paging_s: float = 0.0
    nat_idle_s: float = _NEVER
    nat_rebind_s: float = _NEVER
    new_address: float = 0.0
    buffer_bytes: int = 256 * 1024
    track_tunnels: Tunnels | None = None
    zones: bool = False


_PAGING_S: Final = 0.64  # 36.304
_NAT_IDLE_S: Final = 1800.0  # chosen: later than the strict carriers of Wang, earlier than RFC 5382

_LTE: Final = Profile(
    about="LTE in a city: some 10 Mbit/s, 70 ms there and back, handovers",
    cells=CellLayer(
        rat="LTE",
        inter_site_m=500.0,  # TR 38.901 table 7.2-1, UMa
        ghz=1.8,
        down_hz=20e6,
        up_hz=10e6,
        element_hz=15e3,
        elements=1200,
        path_loss=URBAN_MACRO,
        load=(0.4, 0.8),
        interruption_s=0.0495,  # 36.881
    ),
    up_s=0.030,  # with down_s and jitter: the median RTT of Huang; the uplink waits for its grant
    down_s=0.020,
    jitter_s=0.008,
    loss=0.001,  # chosen: RLC in acknowledged mode leaves little
    promotion_s=0.260,  # Huang
    inactivity_s=11.576,  # Huang
    paging_s=_PAGING_S,
    nat_idle_s=_NAT_IDLE_S,
)

_5G: Final = Profile(
    about="5G in a city (n78): some 70 Mbit/s, 30 ms there and back",
    cells=CellLayer(
        rat="5G",
        inter_site_m=500.0,
        ghz=3.5,
        down_hz=74e6,  # of 100 MHz TDD, as most public networks divide it
        up_hz=23e6,
        element_hz=30e3,
        elements=3276,  # TS 38.101-1 table 5.3.2-1
        path_loss=URBAN_MACRO,
        site_dbm=49.0,
        gain_db=24.0,
        load=(0.3, 0.6),
        interruption_s=0.0495,  # as LTE
    ),
    up_s=0.013,  # chosen, within what Narayanan and Raca saw
    down_s=0.010,
    jitter_s=0.004,
    loss=0.0005,  # chosen
    promotion_s=0.340,  # Narayanan
    inactivity_s=10.4,  # Narayanan
    paging_s=_PAGING_S,
    nat_idle_s=_NAT_IDLE_S,
)

_3G: Final = Profile(
    about="3G (HSPA): 1 to 3 Mbit/s, 150 ms there and back, 2 s to wake up",
    cells=CellLayer(
        rat="HSPA",
        inter_site_m=800.0,  # chosen
        ghz=2.1,
        down_hz=5e6,
        up_hz=1.5e6,  # chosen: what HSUPA leaves a user of a carrier of 5 MHz
        element_hz=15e3,  # taken as LTE's: RSCP of 3G has no counterpart here
        elements=300,
        path_loss=URBAN_MACRO,
        site_dbm=43.0,
        load=(0.5, 0.9),
        interruption_s=0.2,  # chosen: hard handover of HSDPA
    ),
    up_s=0.070,
    down_s=0.050,
    jitter_s=0.015,
    loss=0.003,  # chosen
    promotion_s=2.0,  # Qian
    inactivity_s=8.088,  # Huang
    paging_s=_PAGING_S,
    nat_idle_s=_NAT_IDLE_S,
)

_RURAL: Final = replace(
    _LTE,
    about="LTE in the country: wide cells at 800 MHz, holes in the coverage, slow at the edges",
    cells=CellLayer(
        rat="LTE",
        inter_site_m=5000.0,  # TR 38.913 table 6.1.4-1, rural
        ghz=0.8,
        down_hz=10e6,
        up_hz=5e6,
        element_hz=15e3,
        elements=600,
        path_loss=RURAL_MACRO,
        load=(0.2, 0.5),
        holes=0.25,  # chosen
        interruption_s=0.0495,
        reselect_s=1.0,
    ),
    jitter_s=0.015,
    loss=0.003,
    new_address=0.1,  # chosen
)

_TUNNEL: Final = replace(
    _LTE,
    about="lte with tunnels: of the roads, one in Helsinki, and for other clients one in five minutes",
    track_tunnels=Tunnels(every_m=4200.0, length_m=900.0),  # 64 s of every 300
    zones=True,
)

_lte_cells = _LTE.cells
assert _lte_cells is not None
_STORM: Final = replace(
    _TUNNEL,
    about="all at once: tunnels, holes, congested cells, losses, new addresses, a NAT that forgets",
    cells=replace(_lte_cells, load=(0.5, 0.95), congested=0.15, holes=0.15, hole_m=400.0, reselect_s=2.0),
    jitter_s=0.040,
    loss=0.02,
    new_address=0.5,
    nat_idle_s=255.0,  # Wang: the strictest carrier
    nat_rebind_s=300.0,
)

PROFILES: Final = {
    "perfect": Profile(about="no delay, no loss: the network of this machine", buffer_bytes=1024 * 1024),
    "lte": _LTE,
    "5g": _5G,
    "3g": _3G,
    "rural": _RURAL,
    "tunnel": _TUNNEL,
    "storm": _STORM,
}

# A recording of rates has neither a delay nor a radio state of its own: the vehicle was sending all the time.
TRACE: Final = Profile(about="rates as recorded", up_s=_LTE.up_s, down_s=_LTE.down_s, jitter_s=_LTE.jitter_s)
