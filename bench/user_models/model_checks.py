"""What a user's network must be before it is attacked, tried on a few images; the first failure is told in one line.

Source: ours; each check guards a number that would otherwise say more about the network's wiring than its robustness.
Gradients that hide are the reason why attacks overstate it: Athalye et al. 2018, arXiv:1802.00420.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from attacks.contract import check_images, looks_like_probabilities
from attacks.errors import ModelError
from attacks.goal import Goal
from attacks.losses import cross_entropy_loss, margin_loss
from attacks.precision import running_in
from bench.memory import BatchSize, is_out_of_memory
from bench.user_models.user_code import told, told_in_one_line

MOST_IMAGES = 16
MOST_ALONE = 4  # images that are also shown one by one
REPEAT_TOLERANCE = 1e-4  # logit units
ROUNDING = 1e-6  # of the largest logit: float32 sums in another order
ALONE_TOLERANCE = 1e-4  # of the image's largest logit
CHECK = "the check of the model"


def check_user_model(
    model: nn.Module, images: Tensor, classes: int, *, device: torch.device, needs_gradients: bool = True
) -> None:
    """Try a network on at most 16 images; return when attacks may rely on it.

    They are shown together, or as many at a time as fit in memory.

    Log-probabilities pass as logits: they are logits shifted by one number an image, so margins are the same.

    Args:
        model: moved to `device` and put into eval mode, in place.
        images: (n, c, h, w) float32 in [0, 1] of the dataset, two or more.
        classes: how many the dataset has.
        device: where the network will run.
        needs_gradients: whether the attack follows gradients; without, they are not tried.

    Raises:
        ModelError: the network breaks off, gives other than finite logits (n, classes), is random, lets the images of
            a batch touch each other, gives no usable gradients, stays in train mode, or has no room for one image.
    """
    with told_in_one_line(f"the model cannot be moved to {device} in eval mode"):
        model.to(device)
        model.eval()
    _require_eval_mode(model)
    images = check_images(images.detach()[:MOST_IMAGES]).to(device)
    batch = BatchSize(len(images))

    def logits_of(part: slice) -> Tensor:
        return _logits(model, images[part], classes)

    with running_in("float32", device):
        with torch.no_grad():
            logits = torch.cat(batch.run(logits_of, len(images), under=CHECK))
            _require_logits(logits)
            _require_same_again(logits, torch.cat(batch.run(logits_of, len(images), under=CHECK)))
            alone = [_logits(model, image[None], classes) for image in images[:MOST_ALONE]]
            _require_same_alone(logits, torch.cat(alone))
        if needs_gradients:
            _require_gradients(model, images, logits.argmax(dim=1), batch)
    _require_eval_mode(model)


def _require_eval_mode(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if module.training:
            where = f"its layer {name} ({type(module).__name__})" if name else "it"
            raise ModelError(
                f"the model is in train mode after eval(): {where} has training=True; "
                "do not override train() or eval(), and call neither in forward()"
            )


def _logits(model: nn.Module, images: Tensor, classes: int) -> Tensor:
    """The model's outputs (n, classes) float32, when that is what they are and the images are left as they were."""
    given = images.clone()
    try:
        output = model(given)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"the model cannot take images {tuple(images.shape)} float32 in [0, 1]: {told(error)}; "
            "resizing and normalization belong inside the model"
        ) from error
    if not torch.equal(given, images):
        raise ModelError("the model changes the images it is given; compute a new tensor instead, without sub_() or -=")
    return _require_shape(output, images, classes)


def _require_shape(output: Any, images: Tensor, classes: int) -> Tensor:
    wanted = (len(images), classes)
    asked = f"the model must return logits {wanted} float32 for {len(images)} images"
    if not isinstance(output, Tensor):
        raise ModelError(f"{asked}; it returned {_described(output)}: return the tensor of logits alone")
    if output.shape != wanted:
        many = output.ndim == 2 and len(output) == len(images)
        what_to_do = f"end it in a layer of {classes} outputs" if many else "give every image one row"
        raise ModelError(f"{asked}; it returned {tuple(output.shape)}: {what_to_do}")
    if output.dtype != torch.float32:
        raise ModelError(f"{asked}; it returned {output.dtype}: compute in float32, or end in .float()")
    if output.device.type != images.device.type:
        raise ModelError(f"{asked} on {images.device.type}; it returned them on {output.device.type}: leave them there")
    return output


def _require_logits(logits: Tensor) -> None:
    finite = torch.isfinite(logits).all(dim=1)  # (n,)
    if not bool(finite.all()):
        raise ModelError(
            f"the model gives NaN or infinite logits for {int((~finite).sum())} of {len(logits)} images; "
            "check its weights, and that it divides by nothing that can be zero"
        )
    if looks_like_probabilities(logits):
        raise ModelError("the model gives probabilities, whose margins never pass 1; return logits: drop the softmax")
    if bool(((logits >= 0) & (logits <= 1)).all()) and bool(logits.any()):
        raise ModelError(
            f"the model's outputs for {len(logits)} images all lie in [0, 1], as a sigmoid's do, whose margins never "
            "pass 1; return logits: drop what squeezes them"
        )


def _require_same_again(first: Tensor, second: Tensor) -> None:
    difference = (first - second).abs().amax(dim=1)  # (n,)
    differs = ~(difference <= REPEAT_TOLERANCE + ROUNDING * first.abs().amax(dim=1))
    if bool(differs.any()):
        raise ModelError(
            f"the model is random: shown twice, {int(differs.sum())} of {len(first)} images get other logits, by up to "
            f"{float(difference.max()):.2g}; leave dropout and noise out of eval mode, or draw from a fixed seed"
        )


def _require_same_alone(batch: Tensor, alone: Tensor) -> None:
    """Compare logits (n, classes) of a batch with those (m, classes) of its first m images, shown one by one."""
    together = batch[: len(alone)]
    difference = (together - alone).abs().amax(dim=1)  # (m,)
    differs = ~(difference <= ALONE_TOLERANCE * together.abs().amax(dim=1) + ROUNDING)
    if bool(differs.any()):
        raise ModelError(
            f"an image's logits depend on the rest of its batch: shown alone, {int(differs.sum())} of {len(alone)} "
            f"images get other logits, by up to {float(difference.max()):.2g}; "
            "let batch normalization use its running statistics"
        )


def _require_gradients(model: nn.Module, images: Tensor, predicted: Tensor, batch: BatchSize) -> None:
    """Try the gradients that attacks follow, of all images, in batches that fit in memory."""
    parts = batch.run(lambda part: _gradient(model, images[part], predicted[part]), len(images), under=CHECK)
    gradient = torch.cat(parts)
    finite = torch.isfinite(gradient).flatten(1).all(dim=1)  # (n,)
    if not bool(finite.all()):
        raise ModelError(
            f"the model's gradients are NaN or infinite for {int((~finite).sum())} of {len(images)} images; "
            "look for sqrt, log or a division at zero in forward(), or attack without gradients: --attack square"
        )
    if not bool(gradient.any()):
        raise ModelError(
            "gradients vanish: they are exactly zero for every image, so attacks that follow them would find nothing "
            "whether the model is robust or not; use --attack square"
        )


def _gradient(model: nn.Module, images: Tensor, predicted: Tensor) -> Tensor:
    """Of cross-entropy, and of the margin, which stays when softmax saturates: (n, c, h, w)."""
    images, goal = images.clone().requires_grad_(), Goal(classes=predicted)
    with torch.enable_grad():
        try:
            logits = model(images)
            loss = (cross_entropy_loss(logits, goal) + margin_loss(logits, goal)).sum()
            (gradient,) = torch.autograd.grad(loss, images, allow_unused=True) if loss.requires_grad else (None,)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise ModelError(
                f"gradients cannot be taken through the model: {told(error)}; "
                "mend it, or attack without gradients: --attack square"
            ) from error
    if gradient is None:
        raise ModelError(
            "gradients cannot flow from the model's logits to the images; take no_grad(), detach() and NumPy out of "
            "forward(), or attack without gradients: --attack square"
        )
    return gradient


def _described(output: Any) -> str:
    """What a model gave instead of a tensor."""
    if isinstance(output, Mapping):
        return f"a {type(output).__name__} with {', '.join(str(key) for key in output)}"
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of {len(output)}"
    return "None" if output is None else f"an object of type {type(output).__name__}"
