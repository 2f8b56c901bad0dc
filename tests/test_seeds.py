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


def test_seeds_are_the_splitmix64_of_their_parts() -> None:
    # The first output of SplitMix64 seeded with 0, as published with the reference implementation.
    from ganlab.seeds import _mix

    assert _mix(0) == 0xE220A8397B1DCDAF


def test_low_bits_are_as_good_as_high_ones() -> None:
    # torch's CPU generator reads only the low 32 bits of its seed.
    low = [stream_seed(0, Stream.LATENTS, index) & 0xFFFFFFFF for index in range(10_000)]
    assert len(set(low)) > 9_990
    assert abs(sum(value >> 31 for value in low) - 5_000) < 300
