"""What a climb has found so far: models, how far they are believed, photos without a place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from splatkit.ingest.config import IngestConfig
from splatkit.ingest.consensus import outvoted
from splatkit.ingest.judge import MIN_AGREEING, Pair, Verdict, judge
from splatkit.ingest.jumps import without_jumps
from splatkit.ingest.look import blurred_photos
from splatkit.ingest.prepare import Prepared
from splatkit.io.colmap import ColmapModel
from splatkit.io.lenses import Lens


@dataclass(frozen=True)
class Candidate:
    """A reconstruction and what speaks for it."""

    name: str
    """Attempt, mapper and number: ``plain/incremental/0``."""
    model: ColmapModel
    verdict: Verdict
    pairs: list[Pair]
    """The verified matches that it was made from."""
    outvoted: bool = False
    """Whether other mappers agree that its cameras stand otherwise."""

    @property
    def focal(self) -> float:
        """Focal length over the long side, of the camera with the most photos."""
        used = [image.camera_id for image in self.model.images]
        lens = self.model.cameras[max(set(used), key=used.count)]
        return relative_focal(lens)


@dataclass
class Climb:
    """Everything found so far."""

    work: Path
    prepared: list[Prepared]
    config: IngestConfig
    video: bool
    candidates: list[Candidate] = field(default_factory=list)
    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    """The verified matches of each attempt."""
    stated: dict[str, float] = field(default_factory=dict)
    """Focal length in pixels that each photo's camera began with."""
    doubts: list[str] = field(default_factory=list)
    """What speaks against the best candidate."""
    refined: Candidate | None = None
    """The best candidate after the last adjustment, which is the best then."""

    def judged(self, model: ColmapModel, pairs: list[Pair]) -> Verdict:
        """What the matches say about a model, and, of a video, the order of its frames."""
        verdict = judge(model, pairs)
        return without_jumps(model, verdict) if self.video else verdict

    @property
    def best(self) -> Candidate | None:
        """The candidate with the most support; of equals the first, whose errors are smaller."""
        if self.refined is not None:
            return self.refined
        return max(self.believed, key=lambda c: round(c.verdict.worth, 1), default=None)

    @property
    def believed(self) -> list[Candidate]:
        """Those that no majority contradicts."""
        return [candidate for candidate in self.candidates if not candidate.outvoted]

    def vote(self) -> None:
        """Let the candidates judge each other, as there are more of them now."""
        places = [
            {
                image.name: image.camera_from_world
                for image in candidate.model.images
                if image.name in candidate.verdict.trusted
            }
            for candidate in self.candidates
        ]
        # A joined model takes its cameras from others, which have their votes already.
        voters = [not candidate.name.startswith("several/") for candidate in self.candidates]
        self.candidates = [
            replace(candidate, outvoted=out)
            for candidate, out in zip(self.candidates, outvoted(places, voters), strict=True)
        ]

    @property
    def lost(self) -> list[str]:
        """Copies of photos without a sure place."""
        trusted = self.best.verdict.trusted if self.best else frozenset()
        return [photo.copy for photo in self.prepared if photo.copy not in trusted]

    @property
    def hopeful(self) -> list[str]:
        """Those of them that are sharp enough to be worth another look."""
        blurred = blurred_photos({photo.copy: photo.look for photo in self.prepared})
        return [copy for copy in self.lost if copy not in blurred]

    def within_reach(self, attempt: str) -> list[str]:
        """Those that an attempt's matches tie to a photo with a sure place."""
        if self.best is None:
            return self.hopeful
        trusted, hopeful = self.best.verdict.trusted, set(self.hopeful)
        ends = [
            (one, other)
            for pair in self.pairs[attempt]
            if len(pair.xy_first) >= MIN_AGREEING
            for one, other in ((pair.first, pair.second), (pair.second, pair.first))
        ]
        return sorted({one for one, other in ends if one in hopeful and other in trusted})

    @property
    def satisfied(self) -> bool:
        """Whether nothing is left to be gained by looking further."""
        return not self.doubts and not self.hopeful


def describe_candidates(state: Climb) -> list[dict[str, object]]:
    """Every model that was judged, in values that JSON can hold."""
    return [_report(candidate) for candidate in state.candidates]


def relative_focal(lens: Lens) -> float:
    """Focal length over the long side."""
    fx, fy, _, _ = lens.focal_and_center
    return (fx + fy) / 2 / max(lens.width, lens.height)


def _report(candidate: Candidate) -> dict[str, object]:
    model, verdict = candidate.model, candidate.verdict
    return {
        "model": candidate.name,
        "photos": len(model.images),
        "trusted": len(verdict.trusted),
        "worth": round(verdict.worth, 2),
        "points": len(model.points),
        "mean_error_pixels": float(model.errors.mean()) if len(model.errors) else None,
        "focal_over_long_side": round(candidate.focal, 4),
        "agreeing_matches": verdict.agreeing,
        "doubted": verdict.doubted,
        "outvoted": candidate.outvoted,
    }
