"""What is tried on a user's network before it is attacked: a network for every line, written to a file and loaded.

All have one linear layer; what `forward` does besides is the one thing that a check must see, or must let pass.
"""

from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from attacks.errors import ErbenchError, ModelError
from bench.user_models.model_checks import check_user_model
from bench.user_models.user_model import load_user_model

NET = """
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 5)
        self.norm = nn.BatchNorm1d(5)
        self.batch_norm = nn.BatchNorm1d(5, track_running_stats=False)
        self.calls = 0
        with torch.no_grad():
            self.layer.weight.copy_(torch.linspace(-1, 1, 80).sin().reshape(5, 16))

    def forward(self, images):
        logits = self.layer(images.flatten(1))
        self.calls += 1
{body}
"""
IMAGES = torch.rand(20, 1, 4, 4, generator=Generator().manual_seed(0))
CPU = torch.device("cpu")


def network(folder: Path, *body: str, more: str = "") -> nn.Module:
    """The network whose `forward` ends in these lines; `more` is put below it."""
    text = NET.format(body="\n".join(f"        {line}" for line in body)) + more
    (folder / "net.py").write_text(text)
    return load_user_model(f"{folder / 'net.py'}:Net", None).module


def check(model: nn.Module, *, needs_gradients: bool = True) -> None:
    check_user_model(model, IMAGES, 5, device=CPU, needs_gradients=needs_gradients)


def refusal(model: nn.Module, kind: type[ErbenchError] = ModelError) -> str:
    """The one line that a check ends in."""
    with pytest.raises(kind) as caught:
        check(model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


PASSING = {
    "logits": "return logits",
    "log-probabilities": "return logits.log_softmax(1)",
    "batch norm in eval mode": "return self.norm(logits)",
    "a change of one in a hundred thousand": "return logits + 2e-5 * (self.calls % 2)",
    "rounding of large logits": "return 1e4 * logits + 5e-4 * (self.calls % 2)",
    "half a ten-thousandth of batch": "return logits * (1 + 5e-5 * (len(images) > 1))",
    "shifted and not negative": "return logits - logits.amin(1, keepdim=True)",
    "some images without gradients": "return logits * (images.flatten(1)[:, :1] > 0.5)",
}


@pytest.mark.parametrize("body", PASSING.values(), ids=PASSING)
def test_a_sound_network_passes(tmp_path: Path, body: str) -> None:
    check(network(tmp_path, body))


REFUSED = {
    # images
    "an exception": (
        "raise OSError('out of luck')",
        "cannot take images (16, 1, 4, 4) float32",
        "OSError: out of luck",
    ),
    "another shape": (
        "return self.layer(images)",
        "normalization belong inside the model",
        "RuntimeError: mat1 and mat2",
    ),
    "changed images": ("images.sub_(0.5)\nreturn logits", "changes the images it is given", "without sub_()"),
    # shape and type
    "a tuple": ("return logits, logits", "(16, 5) float32 for 16 images; it returned a tuple of 2", "logits alone"),
    "a dict": ("return {'logits': logits, 'aux': 1}", "it returned a dict with logits, aux", "logits alone"),
    "nothing": ("pass", "it returned None", "logits alone"),
    "an array": ("return logits.detach().numpy()", "it returned an object of type ndarray", "logits alone"),
    "too narrow": ("return logits[:, :4]", "it returned (16, 4)", "a layer of 5 outputs"),
    "one number": ("return logits.sum()", "it returned ()", "one row"),
    "maps": ("return logits[:, :, None]", "it returned (16, 5, 1)", "one row"),
    "half": ("return logits.bfloat16()", "it returned torch.bfloat16", ".float()"),
    "double": ("return logits.double()", "it returned torch.float64", ".float()"),
    "elsewhere": ("return torch.empty(len(images), 5, device='meta')", "on cpu; it returned them on meta", "leave"),
    # numbers
    "NaN": ("logits[2:5, 1] = torch.nan\nreturn logits", "NaN or infinite logits for 3 of 16 images", "weights"),
    "infinite": ("logits[0, 0] = -torch.inf\nreturn logits", "NaN or infinite logits for 1 of 16 images", "weights"),
    "probabilities": ("return logits.softmax(1)", "gives probabilities", "drop the softmax"),
    "sigmoids": ("return logits.sigmoid()", "outputs for 16 images all lie in [0, 1]", "return logits"),
    "tempered sigmoids": ("return (logits / 9).sigmoid()", "outputs for 16 images all lie in [0, 1]", "sigmoid"),
    # one image, one answer
    "dropout": ("return F.dropout(logits, training=True)", "the model is random", "leave dropout"),
    "drift": (
        "logits[:7] += 0.25 * (self.calls % 2)\nreturn logits",
        "7 of 16 images get other logits, by up to 0.25",
        "",
    ),
    "small drift": ("return logits + 3e-4 * (self.calls % 2)", "the model is random", "0.0003"),
    "NaN now and then": ("return logits * (1 if self.calls % 2 else torch.nan)", "the model is random", ""),
    "batch norm of the batch": (
        "return self.batch_norm(logits) if len(logits) > 1 else logits",
        "rest of its batch",
        "4 of 4",
    ),
    "batch norm that wants a batch": (
        "return self.batch_norm(logits)",
        "cannot take images (1, 1, 4, 4)",
        "more than 1 value",
    ),
    "the mean of the batch": (
        "return logits - logits.mean(0)",
        "depend on the rest of its batch",
        "running statistics",
    ),
    "two ten-thousandths of batch": ("return logits * (1 + 2e-4 * (len(images) > 1))", "rest of its batch", "4 of 4"),
    "the spread of the batch": (
        "return F.normalize(logits - logits.mean(0), dim=0, eps=0)",
        "rest of its batch",
        "by up to nan",
    ),  # 0/0 of one
    "squeezed": ("return logits.squeeze()", "(1, 5) float32 for 1 images; it returned (5,)", "one row"),
    # gradients
    "no_grad": ("with torch.no_grad():\n    return logits * 1.0", "cannot flow", "--attack square"),
    "detached": ("return logits.detach()", "cannot flow", "take no_grad(), detach()"),
    "detached images": ("return self.layer(images.detach().flatten(1))", "cannot flow", "--attack square"),
    "images that play no part": (
        "return self.layer(images.detach().flatten(1)) + torch.zeros(1, requires_grad=True)",
        "cannot flow",
        "--attack square",
    ),
    "inference mode": ("with torch.inference_mode():\n    return logits * 1", "cannot flow", "--attack square"),
    "NumPy": (
        "return self.layer(torch.from_numpy(images.flatten(1).numpy()))",
        "cannot be taken through",
        "net.py, line 19",
    ),
    "root of zero": ("return logits + (images * 0).sqrt().sum()", "NaN or infinite for 16 of 16 images", "sqrt"),
    "root at one image": (
        "return logits + (images[3:4] * 0).sqrt().sum()",
        "NaN or infinite for 1 of 16 images",
        "sqrt",
    ),
    "rounded": (
        "return self.layer(images.flatten(1).round())",
        "gradients vanish: they are exactly zero",
        "--attack square",
    ),
    # modes
    "train mode from forward": (
        "self.norm.train()\nreturn logits",
        "its layer norm (BatchNorm1d) has training=True",
        "",
    ),
}


@pytest.mark.parametrize(("body", "says", "and_says"), REFUSED.values(), ids=REFUSED)
def test_an_unsound_network_is_told_why(tmp_path: Path, body: str, says: str, and_says: str) -> None:
    said = refusal(network(tmp_path, *body.splitlines()))
    assert says in said
    assert and_says in said


def test_an_exception_in_forward_is_told_with_its_line(tmp_path: Path) -> None:
    model = network(
        tmp_path, "return self.inner(logits)", more="\n    def inner(self, logits):\n        return logits @ logits\n"
    )
    lines = (tmp_path / "net.py").read_text().splitlines()
    assert f"net.py, line {lines.index('        return logits @ logits') + 1}: RuntimeError: " in refusal(model)


def test_a_network_that_stays_in_train_mode_is_refused(tmp_path: Path) -> None:
    train = "\n    def train(self, mode=True):\n        return super().train(True)\n"
    said = refusal(network(tmp_path, "return F.dropout(logits, training=self.training)", more=train))
    assert "in train mode after eval(): it has training=True" in said
    assert "do not override train() or eval()" in said


def test_the_check_puts_the_network_into_eval_mode(tmp_path: Path) -> None:
    model = network(tmp_path, "return self.norm(logits)").train()
    check(model)
    assert not model.training


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return logits[:, :4] * torch.nan", "it returned (16, 4)"),
        ("return logits.softmax(1).bfloat16()", "torch.bfloat16"),
        ("return logits.softmax(1) * torch.nan", "NaN or infinite"),
        ("return (logits + torch.rand(5)).softmax(1)", "probabilities"),
        ("return logits - logits.mean(0) + torch.rand(5)", "random"),
        ("return (logits - logits.mean(0)).detach()", "rest of its batch"),
        ("return (logits + (images[3:4] * 0).sqrt().sum()).detach()", "cannot flow"),
    ],
)
def test_the_first_failure_is_told(tmp_path: Path, body: str, says: str) -> None:
    assert says in refusal(network(tmp_path, body))


def test_attacks_without_gradients_need_none(tmp_path: Path) -> None:
    check(network(tmp_path, "return self.layer(images.round().flatten(1)).detach()"), needs_gradients=False)


def test_a_saturated_softmax_is_no_vanished_gradient(tmp_path: Path) -> None:
    model = network(tmp_path, "return 1e4 * logits")
    images = IMAGES.clone().requires_grad_()
    logits = model(images)
    (gradient,) = torch.autograd.grad(cross_entropy(logits, logits.argmax(1)), images)
    assert not gradient.any()  # of the cross-entropy; the margin's is the difference of two rows of weights
    check(model)


def test_few_images_are_looked_at_and_none_is_changed(tmp_path: Path) -> None:
    model, images = network(tmp_path, "return logits"), IMAGES.clone()
    seen: list[Tensor] = []
    model.register_forward_pre_hook(lambda _module, given: seen.append(given[0].detach()))
    check_user_model(model, images, 5, device=CPU)
    assert [len(batch) for batch in seen] == [16, 16, 1, 1, 1, 1, 16]
    assert all(torch.equal(batch, IMAGES[: len(batch)]) for batch in seen if len(batch) == 16)
    assert torch.equal(images, IMAGES)
    assert [parameter.grad for parameter in model.parameters()] == [None] * 6


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_a_network_with_little_room_is_tried_in_parts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, backward: bool
) -> None:
    body = "if len(images) > 7 WHERE:\n    raise torch.OutOfMemoryError('CUDA out of memory')\nreturn logits"
    body = body.replace("WHERE", "and images.requires_grad" if backward else "")
    model = network(tmp_path, *body.splitlines())
    seen: list[int] = []
    model.register_forward_hook(lambda _module, given, _output: seen.append(len(given[0])))
    check(model)
    parts = [4] * 4
    assert seen == ([16, 16, 1, 1, 1, 1, *parts] if backward else [*parts, *parts, 1, 1, 1, 1, *parts])
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning == "16 images do not fit in memory under the check of the model; it is done with 4 at a time"
    full = network(tmp_path, "raise torch.OutOfMemoryError('CUDA out of memory')")
    assert "not even one image fits in memory under the check of the model" in refusal(full)
    # what is wrong with a network is found in parts too, here the first image of each
    wrong = body.replace("return logits", "return logits + (images[:1] * 0).sqrt().sum()")
    assert "NaN or infinite for 4 of 16" in refusal(network(tmp_path, *wrong.splitlines()))
