"""A sweep on a real Ray cluster of two nodes on this machine, one of which is lost on the way."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_runs import BASELINE, CLASSIFICATION, cells_of, workspace_in

from attacks.errors import RequestError
from bench.executors.driver import Crew, swept_by
from bench.executors.ray_cluster import RayCluster
from bench.record import load_outcomes
from bench.sweep import in_order, sweep

ray = pytest.importorskip("ray")
GRID = CLASSIFICATION | BASELINE | {"attack": ["pgd", "cw"], "n_test": 150, "search_steps": 2, "steps": 60}


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_a_sweep_finishes_with_the_same_records_when_a_node_is_lost(tmp_path: Path, two_nodes: Any) -> None:
    shared, alone = workspace_in(tmp_path / "shared"), workspace_in(tmp_path / "alone")
    cells = cells_of(shared, GRID)
    records = swept_by(Crew(executor="ray", address=two_nodes.address, jobs=2), cells, shared)
    lost = next(iter(two_nodes.worker_nodes))
    found = []
    for record in records:
        if not found:
            two_nodes.remove_node(lost, allow_graceful=False)
        found.append(record)
    again = cells_of(alone, GRID)
    expected = in_order(again, sweep(again, alone))
    for one, other in zip(in_order(cells, found), expected, strict=True):
        assert one.status == "done"
        frames = [load_outcomes(place.run_dir(one.run_id)) for place in (shared, alone)]
        pd.testing.assert_frame_equal(*frames, check_exact=True)
        assert one.metrics == other.metrics


def test_a_worker_must_fit_and_have_the_same_code(
    tmp_path: Path, two_nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = workspace_in(tmp_path)
    cells = cells_of(workspace, GRID)
    with pytest.raises(RequestError, match=r"no worker fits in the cluster: one takes 1 CPUs and 0\.5 GPUs"):
        list(swept_by(Crew(executor="ray", address=two_nodes.address, gpus=0.5), cells, workspace))
    ray.shutdown()
    with pytest.raises(RequestError, match="no worker fits in the cluster"):  # also when so many are asked for
        list(swept_by(Crew(executor="ray", address=two_nodes.address, jobs=2, gpus=0.5), cells, workspace))
    ray.shutdown()
    monkeypatch.setattr("bench.executors.driver.program_version", lambda: "0123456789abcdef")
    with pytest.raises(RequestError, match=r"than the driver \(0123456789abcdef\)"):
        list(swept_by(Crew(executor="ray", address=two_nodes.address, jobs=1), cells, workspace))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
        ("somewhere", "--ray-address wants HOST:PORT"),
        ("ray://127.0.0.1:1", "no Ray cluster answers at"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_told_in_one_line(address: str, message: str) -> None:
    start = time.monotonic()
    with pytest.raises(RequestError, match=message) as error:
        RayCluster(address)
    assert "\n" not in str(error.value)
    assert time.monotonic() - start < 15


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RequestError, match=r"pip install 'erbench\[ray\]'"):
        RayCluster(None)
