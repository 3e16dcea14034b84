"""The bench of the recipe: what it trains, that it goes on where it stopped, and its table."""

import json
import sys
from dataclasses import replace

import pytest

from tests.train.bench_scripts import bench_script
from tests.train.test_trainer import FAST


@pytest.fixture
def recipe(monkeypatch):
    return bench_script(monkeypatch, "recipe")


def test_every_ablation_changes_the_default(recipe):
    configs = [recipe.configured(name, 0) for name in recipe.ABLATIONS]
    assert configs[0] == recipe.BASE
    assert len({repr(config) for config in configs}) == len(configs)
    assert recipe.configured("default", 2) == replace(recipe.BASE, seed=2)
    assert recipe.configured("first opacity 0.1", 0).recipe.initialization.opacity == 0.1


def test_first_seeds_come_first(recipe):
    order = list(recipe.work(2, list(recipe.SETS[:2]), ["default", "mcmc"]))
    assert [seed for _, _, seed in order] == [0] * 4 + [1] * 4
    assert [name for name, _, _ in order[:4]] == ["default", "default", "mcmc", "mcmc"]


def test_the_table_shows_differences_of_equal_seeds(recipe):
    def result(ablation, seed, psnr, name="fox"):
        return {"ablation": ablation, "set": name, "seed": seed, "psnr": psnr}

    results = [result("default", 0, 20.0), result("default", 1, 22.0), result("mcmc", 1, 21.5)]
    results += [result("default", 0, 30.0, "banana")]
    assert recipe.table(results).splitlines() == [
        "| | banana | fox | mean |",
        "|---|---|---|---|",
        "| default | 30.00 | 21.00 ± 1.41 | 25.50 |",
        "| mcmc |  | -0.50 |  |",
    ]


def test_it_goes_on_where_it_stopped(recipe, scene, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SPLATKIT_DATA", str(tmp_path))
    monkeypatch.setattr(recipe, "BASE", replace(FAST, iterations=4))
    monkeypatch.setattr(recipe, "SETS", recipe.SETS[:1])
    monkeypatch.setattr(recipe, "opened", lambda *_: scene)
    monkeypatch.setattr(
        sys, "argv", ["recipe", "--runs", str(tmp_path), "--ablations", "default", "mcmc"]
    )
    lines = tmp_path / "results.jsonl"
    done = {"ablation": "default", "set": "sceaux", "seed": 0, "psnr": 12.0}
    lines.write_text(json.dumps(done) + "\n" + '{"ablation": "def')
    recipe.main()
    results = recipe.read_results(tmp_path)
    assert sorted((r["ablation"], r["seed"]) for r in results) == [
        (name, seed) for name in ("default", "mcmc") for seed in range(3)
    ]
    assert results[0] == done
    before = lines.read_bytes()
    recipe.main()
    assert lines.read_bytes() == before
    assert "| mcmc |" in capsys.readouterr().out
