"""How well a platform did: what really happened against what the platform says. The core is pure."""
