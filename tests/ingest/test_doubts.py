"""A model that holds every photo can be wrong all the same: what gives it away."""

from dataclasses import replace

import numpy as np
import pytest

from splatkit.ingest import doubts as said
from splatkit.ingest.alignment import camera_centers
from splatkit.ingest.candidates import Candidate, Climb
from splatkit.ingest.config import IngestConfig
from splatkit.ingest.doubts import doubts_about
from splatkit.ingest.judge import judge, without
from splatkit.ingest.look import Look
from splatkit.ingest.prepare import Prepared
from splatkit.ingest.reasons import reasons_for
from splatkit.io.images import PhotoInfo
from tests.ingest.corner import FOCAL, SIZE
from tests.ingest.test_judge import LENS, world
from tests.ingest.test_metres import places

SHARP = Look(0.2, 0.5, 0.0, "00" * 32)


def photo(name, focal=None, gps=None, look=SHARP):
    info = PhotoInfo(*SIZE, "camera", focal, None, gps, False, False, False, True)
    return Prepared(name, name, info, look, *SIZE)


def climb(tmp_path, model, pairs, photos, others=()):
    best = Candidate("plain/incremental/0", model, judge(model, pairs), pairs)
    more = [Candidate(name, m, judge(m, pairs), pairs) for name, m in others]
    stated = {p.name: p.info.focal or FOCAL for p in photos}
    return Climb(tmp_path, photos, IngestConfig(), False, [best, *more], stated=stated)


def test_nothing_speaks_against_a_true_model(tmp_path):
    model, pairs = world(12)
    photos = [photo(image.name, focal=FOCAL * 1.05) for image in model.images]
    assert doubts_about(climb(tmp_path, model, pairs, photos)) == []


def test_a_focal_length_far_from_exif_wants_a_second_opinion(tmp_path):
    model, pairs = world()
    photos = [photo(image.name, focal=FOCAL * 1.4) for image in model.images]
    assert doubts_about(climb(tmp_path, model, pairs, photos)) == [said.ODD_FOCAL]
    # Another kind of mapper that found the same length settles it, one of the same kind does not.
    settled = climb(tmp_path, model, pairs, photos, [("plain/at_once/0", model)])
    assert doubts_about(settled) == []
    same = climb(tmp_path, model, pairs, photos, [("plain/incremental/1", model)])
    assert said.ODD_FOCAL in doubts_about(same)
    longer = replace(LENS, params=(FOCAL * 1.3, *LENS.params[1:]))
    other = replace(model, cameras={1: longer})
    apart = climb(tmp_path, model, pairs, photos, [("plain/at_once/0", other)])
    assert said.ODD_FOCAL in doubts_about(apart)


def test_an_unusual_lens_without_exif(tmp_path):
    model, pairs = world()
    tele = replace(model, cameras={1: replace(LENS, params=(6 * 400.0, *LENS.params[1:]))})
    photos = [photo(image.name) for image in model.images]
    found = climb(tmp_path, model, pairs, photos)
    found.candidates = [replace(found.best, model=tele)]
    assert doubts_about(found) == [said.UNUSUAL_LENS]


def test_large_errors_and_weak_support(tmp_path):
    model, pairs = world()
    photos = [photo(image.name) for image in model.images]
    blunt = replace(model, errors=np.full(len(model.points), 2.0))
    assert doubts_about(climb(tmp_path, blunt, pairs, photos)) == [said.LARGE_ERRORS]
    chance = np.random.default_rng(0)
    vague = [
        replace(pair, xy_first=pair.xy_first + chance.normal(0, 2.2, pair.xy_first.shape))
        for pair in pairs
    ]
    assert said.WEAK in doubts_about(climb(tmp_path, model, vague, photos))


def test_a_second_model_of_other_photos(tmp_path):
    model, pairs = world(10)
    names = [image.name for image in model.images]
    one, other = without(model, names[6:]), without(model, names[:6])
    photos = [photo(name) for name in names]
    found = climb(tmp_path, one, pairs, photos, [("plain/incremental/1", other)])
    assert doubts_about(found) == [said.OTHER_MODEL]


@pytest.mark.parametrize("bent", [False, True])
def test_gps_speaks_against_a_bent_model(tmp_path, bent):
    model, pairs = world(14)
    centers = camera_centers(np.stack([i.camera_from_world for i in model.images])) * 60
    if bent:
        centers = centers[np.random.default_rng(0).permutation(14)]
    told = places(centers)
    photos = [photo(i.name, gps=gps) for i, gps in zip(model.images, told, strict=True)]
    expected = [said.AGAINST_GPS] if bent else []
    assert doubts_about(climb(tmp_path, model, pairs, photos)) == expected


def test_reasons_say_what_is_wrong_with_each_photo(tmp_path):
    """Blurred, there twice, of another place, alone, with too few matches."""
    model, pairs = world(8)
    names = [image.name for image in model.images]
    lost = dict(zip(names[3:], ("blurred", "copy", "elsewhere", "elsewhere", "alone"), strict=True))

    def kept(pair):
        fates = {lost.get(pair.first, "placed"), lost.get(pair.second, "placed")}
        return fates in ({"placed"}, {"elsewhere"}, {"placed", "copy"})

    pairs = [pair for pair in pairs if kept(pair)]
    looks = {
        "blurred": Look(0.9, 0.5, 0.0, "11" * 32),
        "copy": Look(0.2, 0.5, 0.0, "0f" * 32),
    }
    bits = {
        name: f"{k:02x}" * 32
        for k, name in zip((3, 5, 15, 33, 51, 85, 102, 153), names, strict=True)
    }
    photos = [
        photo(n, look=looks.get(lost.get(n, ""), Look(0.2, 0.5, 0.0, bits[n]))) for n in names
    ]
    found = climb(tmp_path, without(model, names[3:]), pairs, photos)
    reasons = reasons_for(found)
    assert list(reasons) == names[3:]
    assert reasons[names[3]].startswith("blurred")
    assert reasons[names[4]] == f"duplicate: the same picture as {names[2]}"
    assert reasons[names[5]] == f"elsewhere: matches only {names[6]}"
    assert reasons[names[6]] == f"elsewhere: matches only {names[5]}"
    assert "matches no other photo" in reasons[names[7]]
