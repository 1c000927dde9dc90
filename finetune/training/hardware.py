"""What a training can run on here. Knows nothing of what is trained."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Hardware:
    """One machine, as far as training is concerned.

    Attributes:
        has_bf16: Whether it multiplies in bfloat16 itself. LoRA on two such cores (AMD EPYC): 255 tokens/s with it
            against 170 in fp32.
        devices: How many there are of them; 1 for a CPU, however many cores.
    """

    kind: Literal["cpu", "cuda"]
    name: str
    has_bf16: bool
    devices: int

    def __str__(self) -> str:
        """In words, for people."""
        return self.name if self.devices == 1 else f"{self.devices} x {self.name}"


# As `torch.cpu.get_capabilities` names them. Without one of them bfloat16 is emulated, and slower than fp32.
CPU_BF16 = ("avx512_bf16", "amx_bf16")


def look() -> Hardware:
    """What this machine has: its GPUs, or its CPU where torch sees none."""
    import torch  # noqa: PLC0415 - takes seconds to load, and plans are made of a `Hardware` without it

    if torch.cuda.is_available():
        name, devices = torch.cuda.get_device_name(), torch.cuda.device_count()
        return Hardware("cuda", name, torch.cuda.is_bf16_supported(including_emulation=False), devices)
    found = torch.cpu.get_capabilities()
    name = f"{found.get('cpu_name') or found['architecture']}, {torch.get_num_threads()} threads"
    return Hardware("cpu", name, any(found.get(each, False) for each in CPU_BF16), 1)
