"""Tables 7 and 8: counts against networks whose layers are known from elsewhere, and the paper's words as counts."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import torchvision
from torch import nn

from bench.paper.artifacts.architecture_findings import findings_of
from bench.paper.artifacts.architectures import TABLE7, TABLE8
from bench.paper.contract import ArtifactEntry, Made
from bench.paper.published import rows
from bench.paper.studies.architecture import Architecture, LayerCounts, count_layers, read_architecture
from bench.paper.studies.built_networks import Part
from defenses.networks.convolution import Convolution2d
from defenses.networks.registry import FAMILIES

DIFFERENT_FROM_THE_PAPER = {  # as documented in docs/what-the-paper-leaves-open.md and SPEC 2
    "table7": {"mnist": [2]},
    "table8": {"cifar10": [2], "stl10": [4]},
}


def made(entry: ArtifactEntry) -> Made:
    return entry.make(cast("Any", SimpleNamespace(request=None)))


@pytest.fixture(scope="module")
def table7() -> Made:
    return made(TABLE7)


@pytest.fixture(scope="module")
def table8() -> Made:
    return made(TABLE8)


@pytest.mark.parametrize(
    ("name", "convolutions", "norms"), [("vgg19_bn", 16, 16), ("vgg16_bn", 13, 13), ("vgg19", 16, 0), ("alexnet", 5, 0)]
)
def test_torchvisions_networks_have_the_layers_of_their_papers(name: str, convolutions: int, norms: int) -> None:
    with torch.device("meta"):  # shapes without weights
        network = torchvision.models.get_model(name)
    pools = 3 if name == "alexnet" else 5
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert count_layers(network) == LayerCounts(
        convolutions=convolutions,
        convolution_norms=norms,
        max_pools=pools,
        fully_connected=3,
        fully_connected_norms=0,
        dropouts=2,
        parameters=parameters,
    )


def test_vgg19_in_words_is_torchvisions_vgg19() -> None:
    with torch.device("meta"):
        assert read_architecture("VGG19 with BN") == count_layers(torchvision.models.vgg19_bn()).architecture
        assert read_architecture("VGG19") == count_layers(torchvision.models.vgg19()).architecture


def test_each_kind_of_layer_counts_in_its_own_place() -> None:
    layers: dict[str, nn.Module] = {
        "convolutions": nn.Conv2d(2, 3, 3),
        "convolution_norms": nn.BatchNorm2d(3),
        "max_pools": nn.MaxPool2d(2),
        "fully_connected": nn.Linear(3, 5),
        "fully_connected_norms": nn.BatchNorm1d(5),
        "dropouts": nn.Dropout(),
    }
    parameters = {
        "convolutions": 2 * 3 * 9 + 3,
        "convolution_norms": 6,
        "fully_connected": 20,
        "fully_connected_norms": 10,
    }
    for name, layer in layers.items():
        counts = count_layers(nn.Sequential(layer, nn.ReLU(), nn.Flatten()))
        assert {field: getattr(counts, field) for field in layers} == {field: int(field == name) for field in layers}
        assert counts.parameters == parameters.get(name, 0)


def test_a_convolution_that_computes_as_a_linear_layer_is_a_convolution() -> None:
    counts = count_layers(Convolution2d(1, 2, 3, stride=2, bias=False))
    assert (counts.convolutions, counts.fully_connected, counts.parameters) == (1, 0, 18)


def test_a_shared_layer_counts_once() -> None:
    layer = nn.Linear(3, 3)
    counts = count_layers(nn.Sequential(layer, nn.ReLU(), layer))
    assert (counts.fully_connected, counts.parameters) == (1, 12)


def test_an_altered_network_has_other_counts() -> None:
    family = FAMILIES.get("digits")
    layers = list(family.baseline_encoder().children())
    before = count_layers(nn.Sequential(*layers))
    after = count_layers(nn.Sequential(nn.Conv2d(1, 1, 1), *layers))
    assert after.convolutions == before.convolutions + 1
    assert after.parameters == before.parameters + 2
    assert after.architecture.differences(before.architecture) == ("convolutions",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4Conv. + 4FC layers", (4, False, 0, 4, False)),
        ("VGG19 with BN", (16, True, 5, 3, False)),
        ("6Conv. with BN and 5Max.Pool +4FC", (6, True, 5, 4, False)),
        ("13Conv. with BN and 5Max.Pool +4FC", (13, True, 5, 4, False)),
        ("4Conv. with BN + 1FC", (4, True, 0, 1, False)),
        ("3FC with BN", (0, False, 0, 3, True)),
        ("16Conv. + 1FC", (16, False, 0, 1, False)),
        ("4FC", (0, False, 0, 4, False)),
        ("6Conv. with BN +1FC", (6, True, 0, 1, False)),
        ("3FC", (0, False, 0, 3, False)),
        ("13Conv. with BN and 5Max.Pool +1FC", (13, True, 5, 1, False)),
        ("four fully connected layers", (0, False, 0, 4, False)),
    ],
)
def test_the_papers_words_are_read(text: str, expected: tuple[int, bool, int, int, bool]) -> None:
    read = read_architecture(text)
    found = (
        read.convolutions,
        read.normed_convolutions,
        read.max_pools,
        read.fully_connected,
        read.normed_fully_connected,
    )
    assert found == expected
    assert read_architecture(str(read)) == read


def test_every_wording_of_the_tables_can_be_read() -> None:
    texts = [row["baseline"] for row in rows("table_7.csv")]
    texts += [row[part] for row in rows("table_8.csv") for part in ("encoder", "classifier", "discriminator")]
    assert len(texts) == 4 + 12
    assert all(read_architecture(text).fully_connected for text in texts)


@pytest.mark.parametrize("text", ["", "4Conv", "VGG16 with BN", "3FC with dropout", "4Conv. + "])
def test_words_that_say_nothing_known_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="layers that can be read"):
        read_architecture(text)


def test_mnists_baseline_has_the_parameters_of_its_layer_sizes(table7: Made) -> None:
    # 28 -3x3-> 26 -3x3-> 24 -pool-> 12 -3x3-> 10 -3x3-> 8 -pool-> 4: 64 * 4 * 4 = 1024 numbers into the first layer
    convolutions = (9 * 1 + 1) * 32 + (9 * 32 + 1) * 32 + (9 * 32 + 1) * 64 + (9 * 64 + 1) * 64
    fully_connected = (1024 + 1) * 200 + (200 + 1) * 200 + (200 + 1) * 200 + (200 + 1) * 10
    (mnist,) = (datum for datum in table7.data if datum["family"] == "mnist")
    assert mnist["parameters"] == convolutions + fully_connected
    row = next(row for row in table7.table.blocks[0] if row[0].text == "mnist")
    assert [entry.text for entry in row] == [
        "mnist",
        "1×28×28",
        "4Conv. and 2Max.Pool + 4FC",
        "4Conv. + 4FC layers",
        f"{convolutions + fully_connected:,}",
    ]


def test_mnists_er_parts_have_the_parameters_of_their_layer_sizes(table8: Made) -> None:
    channels = [1, 128, 256, 512, 1024]
    convolutions = sum(16 * wide * narrow for narrow, wide in pairwise(channels))  # no bias
    norms = 2 * (256 + 512 + 1024)
    counts = {(datum["part"], datum["embedding_dim"]): datum for datum in table8.data if datum["family"] == "mnist"}
    for dim in (4, 13):
        head = (dim + 1) * 500 + (500 + 1) * 256 + (256 + 1) * 10 + 2 * (500 + 256)
        discriminator = (dim + 1) * 512 + 3 * (512 + 1) * 512 + 513
        assert counts["encoder", dim]["parameters"] == convolutions + norms + (1024 + 1) * dim
        assert counts["classifier", dim]["parameters"] == head
        assert counts["discriminator", dim]["parameters"] == discriminator
        assert counts["discriminator", dim]["fully_connected"] == 5  # four hidden layers and the output
    assert len(counts) == 6


@pytest.mark.parametrize("entry", [TABLE7, TABLE8], ids=lambda entry: entry.name)
def test_bold_is_what_differs_from_the_papers_words(entry: ArtifactEntry, request: pytest.FixtureRequest) -> None:
    table = request.getfixturevalue(entry.name).table
    assert [row[0].text for row in table.blocks[0]] == FAMILIES.names()
    bold = {row[0].text: [place for place, cell in enumerate(row) if cell.bold] for row in table.blocks[0]}
    assert {name: places for name, places in bold.items() if places} == DIFFERENT_FROM_THE_PAPER[entry.name]


def test_data_are_whole_numbers(table7: Made, table8: Made) -> None:
    names = ("convolutions", "convolution_norms", "max_pools", "fully_connected", "dropouts", "parameters", "channels")
    for datum in (*table7.data, *table8.data):
        assert all(type(datum[name]) is int for name in names)
    assert len(table8.data) == len(FAMILIES.names()) * 3 * 2  # parts, embedding sizes


def test_each_difference_is_explained(table7: Made, table8: Made) -> None:
    told = [finding for entry in (table7, table8) for finding in entry.findings]
    for words in ("encoder of cifar10 has BatchNorm", "baseline of mnist has 2 max-poolings", "four fully connected"):
        assert sum(words in finding for finding in told) == 1, words
    assert not [finding for finding in told if "no decision of ours" in finding]
    assert told[0] == "3 of 4 networks or parts of them have exactly the layers that the paper names."


def test_a_difference_without_a_reason_is_said_to_have_none() -> None:
    counts = count_layers(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Linear(1, 1)))
    part = Part(family="mnist", name="encoder", embedding_dim=4, counts=counts, paper="4Conv. with BN + 1FC")
    assert part.differences == ("convolutions", "normed_convolutions")
    findings = findings_of([part])
    assert findings[0].startswith("0 of 1 ")
    assert "has 1 convolutions where the paper names 4: no decision of ours explains the difference" in findings[1]
    assert "lacks the paper's BatchNorm between convolutions: no decision" in findings[2]


def test_a_family_that_the_paper_does_not_have_is_compared_with_nothing(table8: Made) -> None:
    digits = [datum for datum in table8.data if datum["family"] == "digits"]
    assert {(datum["paper"], datum["differs_in"]) for datum in digits} == {(None, None)}
    assert table8.findings[-1] == "The paper has no digits; its networks have the layers of mnist."


def test_notation_of_nothing_is_empty() -> None:
    assert str(Architecture()) == ""
