"""What `ganlab bench` might have measured."""

from __future__ import annotations

from ganlab.bench.peak import Peak
from ganlab.bench.report import Lower, Report, Startup, spread

REPORT = Report(
    recipe="faces",
    device="cpu",
    processor="a processor",
    precision="fp32",
    threads=2,
    torch="2.15.0",
    batch_size=64,
    pictures=(1000, 3, 64, 64),
    images_per_second=spread([50.0, 64.0, 70.0]),
    iteration_seconds=spread([1.28, 1.0, 0.9]),
    blocks=3,
    iterations=5,
    flops=100e9,
    peak=Peak(200e9, "convolution"),
    data_share=0.05,
    host_seconds=0.1,
    memory_bytes=900_000_000,
    lower=Lower("bf16", 1.75),
    crowded=None,
    notes=("iterations are computed eagerly",),
    startup=Startup(2.0, 0.1, 0.2, 1.5),
)
