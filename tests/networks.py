"""What the tests of the architectures share: weights, training, and capture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from utils.look import trace
from utils.models.pretrained import load_torchvision


def on_meta(build: Callable[..., nn.Module], **options) -> nn.Module:
    """The network without values: any size is built in milliseconds."""
    with torch.device("meta"):
        return build(**options)


def filled(build: Callable[..., nn.Module], seed: int = 0, **options) -> nn.Module:
    """The network with random weights that keep the activations' size, in eval mode.

    Biases, gammas and running statistics are random too: an error there must show.
    """
    net = on_meta(build, **options).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in net.state_dict().items():
        kind = name.rpartition(".")[2]
        if tensor.dim() > 1:
            fan_in = tensor[0].numel()
            tensor.normal_(std=(2 / fan_in) ** 0.5, generator=generator)
        elif kind in ("weight", "running_var"):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif kind in ("bias", "running_mean"):
            tensor.normal_(std=0.1, generator=generator)
        else:  # the counter of batches
            tensor.zero_()
    return net.eval()


def ported(ours: Callable[..., nn.Module], theirs: nn.Module, **options) -> nn.Module:
    """Our network with the weights of theirs, which are all it holds, in eval mode."""
    net = on_meta(ours, **options).to_empty(device="cpu")
    for tensor in net.state_dict().values():
        tensor.zero_()
    return load_torchvision(net, theirs.state_dict()).eval()


@torch.no_grad()
def assert_equal_logits(ours: nn.Module, theirs: nn.Module, size: int) -> None:
    """Logits agree on random images of two sizes."""
    for side in (size, size + 13):
        images = torch.randn(2, 3, side, side, generator=torch.manual_seed(side))
        expected = theirs(images)
        assert expected.std() > 0.01  # nothing died on the way: the test can fail
        torch.testing.assert_close(ours(images), expected, rtol=1e-5, atol=1e-5)


def outputs(net: nn.Module, shape: tuple[int, ...], depth: int) -> dict[str, tuple]:
    """Layer or block at this depth -> the shape of what it puts out."""
    calls, _, _ = trace(net, shape, depth=depth)
    return {call.name: call.output for call in calls}


def assert_overfits(
    net: nn.Module, shape: tuple[int, ...], loss_function=None, lr: float = 0.002
) -> None:
    """A batch of eight is learned by heart; dropout is taken out."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    images, labels = torch.randn(8, *shape), torch.arange(8) % 4
    loss_function = loss_function or nn.functional.cross_entropy
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    for _ in range(80):
        logits = net.train()(images)
        loss = loss_function(logits, labels)
        if loss < 0.05:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert (logits.argmax(1) == labels).all()


def assert_exports(net: nn.Module, shape: tuple[int, ...]) -> None:
    """`torch.export` captures the network for any number of images."""
    batch = torch.export.Dim("batch", min=1, max=1024)
    images, more = torch.randn(2, *shape), torch.randn(5, *shape)
    program = torch.export.export(net.eval(), (images,), dynamic_shapes=({0: batch},))
    torch.testing.assert_close(program.module()(more), net(more))


def assert_compiles(net: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """`torch.compile` captures the network in one graph; returns what that gives."""
    torch.compiler.reset()
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    images = torch.randn(2, *shape)
    torch.manual_seed(1)  # of dropout, in train mode
    expected = net(images)
    torch.manual_seed(1)
    torch.testing.assert_close(compiled(images), expected)
    return expected
