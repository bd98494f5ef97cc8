"""Chromosome lengths of well-known genome builds: the build of a genome, and the builds that fit coordinates."""

from __future__ import annotations

from collections.abc import Mapping

# From UCSC's tables of chromosome sizes; 1, 2, ... and then X and Y.
_LENGTHS = {
    "hg18": (
        247249719, 242951149, 199501827, 191273063, 180857866, 170899992, 158821424, 146274826, 140273252, 135374737,
        134452384, 132349534, 114142980, 106368585, 100338915, 88827254, 78774742, 76117153, 63811651, 62435964,
        46944323, 49691432, 154913754, 57772954,
    ),
    "hg19": (
        249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022, 141213431, 135534747,
        135006516, 133851895, 115169878, 107349540, 102531392, 90354753, 81195210, 78077248, 59128983, 63025520,
        48129895, 51304566, 155270560, 59373566,
    ),
    "hg38": (
        248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636, 138394717, 133797422,
        135086622, 133275309, 114364328, 107043718, 101991189, 90338345, 83257441, 80373285, 58617616, 64444167,
        46709983, 50818468, 156040895, 57227415,
    ),
    "T2T-CHM13v2": (
        248387328, 242696752, 201105948, 193574945, 182045439, 172126628, 160567428, 146259331, 150617247, 134758134,
        135127769, 133324548, 113566686, 101161492, 99753195, 96330374, 84276897, 80542538, 61707364, 66210255,
        45090682, 51324926, 154259566, 62460029,
    ),
    "mm9": (
        197195432, 181748087, 159599783, 155630120, 152537259, 149517037, 152524553, 131738871, 124076172, 129993255,
        121843856, 121257530, 120284312, 125194864, 103494974, 98319150, 95272651, 90772031, 61342430, 166650296,
        15902555,
    ),
    "mm10": (
        195471971, 182113224, 160039680, 156508116, 151834684, 149736546, 145441459, 129401213, 124595110, 130694993,
        122082543, 120129022, 120421639, 124902244, 104043685, 98207768, 94987271, 90702639, 61431566, 171031299,
        91744698,
    ),
    "mm39": (
        195154279, 181755017, 159745316, 156860686, 151758149, 149588044, 144995196, 130127694, 124359700, 130530862,
        121973369, 120092757, 120883175, 125139656, 104073951, 98008968, 95294699, 90720763, 61420004, 169476592,
        91455967,
    ),
}  # fmt: skip


def chromosome_lengths(build: str) -> dict[str, int]:
    """Returns the lengths of a build's chromosomes, bp, by their names without "chr"."""
    lengths = _LENGTHS[build]
    names = [*map(str, range(1, len(lengths) - 1)), "X", "Y"]
    return dict(zip(names, lengths, strict=True))


def identify_build(lengths: Mapping[str, int]) -> str | None:
    """Returns the build of a genome by the lengths of its chromosomes; None if none fits all shared names."""
    bare = {_bare(name): length for name, length in lengths.items()}
    for build in _LENGTHS:
        shared = {name: length for name, length in chromosome_lengths(build).items() if name in bare}
        if shared and all(bare[name] == length for name, length in shared.items()):
            return build
    return None


def fitting_builds(extents: Mapping[str, int]) -> tuple[str, ...]:
    """Returns the builds whose chromosomes are long enough for some coordinates.

    Args:
        extents: Last position on each chromosome; names that a build lacks, such as unplaced contigs, are ignored.
    """
    bare = {_bare(name): end for name, end in extents.items()}
    fit = []
    for build in _LENGTHS:
        lengths = chromosome_lengths(build)
        shared = bare.keys() & lengths.keys()
        if shared and all(bare[name] <= lengths[name] for name in shared):
            fit.append(build)
    return tuple(fit)


def _bare(name: str) -> str:
    return name[3:] if name[:3].lower() == "chr" else name
