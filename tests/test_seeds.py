"""Random streams: unrelated to each other, and the same for ever."""

from ganlab.seeds import Stream, stream_seed


def test_streams_indices_ranks_and_seeds_never_share_a_seed() -> None:
    drawn = {
        stream_seed(seed, stream, index, rank)
        for seed in range(4)
        for stream in Stream
        for index in range(50)
        for rank in range(4)
    }
    assert len(drawn) == 4 * len(Stream) * 50 * 4


def splitmix64(state: int) -> int:
    """Return the next output of the reference implementation (S. Vigna, public domain), which adds before it mixes."""
    state = (state + 0x9E3779B97F4A7C15) % 2**64
    z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def test_seeds_are_the_splitmix64_of_their_parts() -> None:
    # The first output that is published for the seed 0.
    assert splitmix64(0) == 0xE220A8397B1DCDAF
    for seed, stream, index, rank in (
        (0, Stream.WEIGHTS, 0, 0),
        (2**64 - 1, Stream.ORDER, 7, 3),
        (5, Stream.FLIPS, 1, 0),
    ):
        state = 0
        for part in (seed, int(stream), index, rank):
            state = splitmix64((state + part) % 2**64)
        assert stream_seed(seed, stream, index, rank) == state
        assert stream_seed(seed, stream) == stream_seed(seed, stream, 0, 0)


def test_streams_keep_their_numbers() -> None:
    """With other ones, every recipe would draw other pictures."""
    assert {stream.name: int(stream) for stream in Stream} == {
        "WEIGHTS": 1,
        "ORDER": 2,
        "FLIPS": 3,
        "LATENTS": 4,
        "LAYERS": 5,
        "STATISTICS": 6,
        "ROLLBACK": 7,
    }
    assert stream_seed(0, Stream.WEIGHTS) == 0xD100827AA323C935


def test_low_bits_are_as_good_as_high_ones() -> None:
    # torch's CPU generator reads only the low 32 bits of its seed.
    low = [stream_seed(0, Stream.LATENTS, index) & 0xFFFFFFFF for index in range(10_000)]
    assert len(set(low)) > 9_990
    assert abs(sum(value >> 31 for value in low) - 5_000) < 300
