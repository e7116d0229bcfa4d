"""Two files of one exposure."""

from __future__ import annotations

import numpy as np
import pytest

from toros.preprocessor.vetting import same_exposure


@pytest.mark.parametrize("level", [50.0, 20000.0])
def test_a_dark_subtracted_version_is_the_same_exposure(level: float) -> None:
    random = np.random.default_rng(3)
    light = random.poisson(level, (200, 200)) + random.normal(1000, 3, (200, 200))
    dark = random.normal(1000, 3, (200, 200))
    assert same_exposure(np.round(light), np.round(light - dark + 100))


@pytest.mark.parametrize("level", [50.0, 20000.0])
def test_two_exposures_of_the_same_sky_are_not(level: float) -> None:
    random = np.random.default_rng(4)
    sky = level * (1 + 0.2 * np.linspace(-1, 1, 200))
    sky[::20] *= 5  # stars, as far as the noise is concerned
    first, second = (
        np.round(
            random.poisson(np.broadcast_to(sky, (200, 200))) + random.normal(1000, 3, (200, 200))
        )
        for _ in range(2)
    )
    assert not same_exposure(first, second)
