"""Parts for testing a plugin or a bot without a model, a platform, or waiting.

Published: plugin and adapter authors use it as we do. For plugins there is the fixture `bot_with`, which gives a whole
`Stage`. It is made of parts that are of use alone, too: a `FakePlatform` is what people see and do, a `ScriptedEngine`
is what the model says, and a `VirtualClock` is the time, which moves only when a test says so.
"""

from bots.testing.clock import VirtualClock, settle
from bots.testing.engine import InQueue, Refusal, Script, ScriptedEngine, Step, echo
from bots.testing.platform import ANN, BOB, CHAT, OTHER_CHAT, FakePlatform, Handed, Posted
from bots.testing.profiles import Profile, discord, telegram, unlimited
from bots.testing.stage import BotWith, Stage, open_stage

__all__ = [
    "ANN",
    "BOB",
    "CHAT",
    "OTHER_CHAT",
    "BotWith",
    "FakePlatform",
    "Handed",
    "InQueue",
    "Posted",
    "Profile",
    "Refusal",
    "Script",
    "ScriptedEngine",
    "Stage",
    "Step",
    "VirtualClock",
    "discord",
    "echo",
    "open_stage",
    "settle",
    "telegram",
    "unlimited",
]
