import pytest

from noncoder.sequence.builds import chromosome_lengths, fitting_builds, identify_build

BUILDS = ["hg18", "hg19", "hg38", "T2T-CHM13v2", "mm9", "mm10", "mm39"]


@pytest.mark.parametrize("build", BUILDS)
def test_a_build_is_told_by_its_lengths_under_any_names(build: str) -> None:
    lengths = chromosome_lengths(build)
    assert identify_build(lengths) == build
    assert identify_build({f"chr{name}": length for name, length in lengths.items()} | {"chrUn_1": 5}) == build
    assert build in fitting_builds(lengths)


def test_one_chromosome_may_do_and_a_wrong_one_does_not() -> None:
    assert identify_build({"chr7": 159138663}) == "hg19"
    assert identify_build({"chr7": 159138663, "chr1": 5}) is None
    assert identify_build({"I": 230218}) is None


def test_builds_are_as_long_as_genomes_are() -> None:
    totals = {build: sum(chromosome_lengths(build).values()) for build in BUILDS}
    assert totals["hg19"] == 3_095_677_412
    assert totals["hg38"] == 3_088_269_832
    assert totals["mm39"] == 2_723_414_844
    assert all(2.6e9 < total < 3.2e9 for total in totals.values())


def test_coordinates_fit_the_builds_that_reach_as_far() -> None:
    assert fitting_builds({"chr20": 64_444_000, "chr1": 248_900_000}) == ("hg38",)
    assert "hg19" not in fitting_builds({"chr17": 83_000_000})
    assert fitting_builds({"chrI": 100}) == ()
    assert fitting_builds({"chr1": 10**9}) == ()
