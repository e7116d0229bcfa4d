"""From a redshift to a distance.

Heliocentric redshifts are taken to the frame of the Local Group (Karachentsev & Makarov 1996,
AJ 111, 794) and become luminosity distances in flat ΛCDM with H₀ = 70 km s⁻¹ Mpc⁻¹, Ωₘ = 0.3.

Why the Local Group and not the microwave background: the galaxies whose hosts can be ranked lie
within about 100 Mpc, and the nearer ones share most of the Local Group's motion toward the
background's pole, so that the smaller correction gives the better distance. NGC 4993 shows it
(z = 0.009787; 40.7 ± 2.4 Mpc by surface-brightness fluctuations, Cantiello et al. 2018): 39.1 Mpc
this way, 42.2 uncorrected, 46.8 in the frame of the background. Farther out the frames differ by
at most 620 km s⁻¹, which is small beside the width of any gravitational-wave distance.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

COSMOLOGY = "flat LambdaCDM, H0 = 70 km/s/Mpc, Om0 = 0.3, redshifts in the Local Group's frame"
H0_KM_S_MPC = 70.0
OMEGA_M = 0.3

#: The Sun's motion in the Local Group: 316 km/s toward l = 93°, b = −4°, here in ICRS degrees.
SOLAR_MOTION_KM_S = 316.0
SOLAR_APEX_DEG = (325.3704, 47.5268)
#: Scatter of galaxies about the Hubble flow in one dimension: what a redshift distance may be off.
PECULIAR_VELOCITY_KM_S = 300.0
#: A redshift says nothing of a distance inside the Local Group: this, and the scatter about it.
NEAREST_MPC = 1.0

_LIGHT_KM_S = 299_792.458


def local_group_redshift(redshift: Floats, ra_deg: Floats, dec_deg: Floats) -> Floats:
    """Return redshifts as seen from the Local Group's centre of mass.

    Parameters
    ----------
    redshift : ndarray, shape (n,)
        Heliocentric redshifts.
    ra_deg, dec_deg : ndarray, shape (n,)
        Positions in degrees (ICRS).
    """
    apex_ra, apex_dec = np.radians(SOLAR_APEX_DEG)
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    toward_apex = np.sin(dec) * np.sin(apex_dec) + np.cos(dec) * np.cos(apex_dec) * np.cos(
        ra - apex_ra
    )
    # Redshift factors multiply (to first order in the Sun's 10⁻³ of the speed of light).
    moved: Floats = (1 + redshift) * (1 + SOLAR_MOTION_KM_S / _LIGHT_KM_S * toward_apex) - 1
    return moved


def luminosity_distance_mpc(redshift: Floats) -> Floats:
    """Return luminosity distances in Mpc; NaN stays NaN, and none is below `NEAREST_MPC`."""
    from astropy.cosmology import FlatLambdaCDM

    cosmology = FlatLambdaCDM(H0=H0_KM_S_MPC, Om0=OMEGA_M)
    distance = np.full(redshift.shape, np.nan)
    known = np.isfinite(redshift)
    positive = np.where(known & (redshift > 0), redshift, 0.0)
    distance[known] = cosmology.luminosity_distance(positive[known]).value
    result: Floats = np.maximum(distance, NEAREST_MPC)
    return result


def distance_error_mpc(redshift: Floats) -> Floats:
    """Return the errors of redshift distances, in Mpc, from peculiar velocities."""
    error = PECULIAR_VELOCITY_KM_S / H0_KM_S_MPC * (1 + np.maximum(redshift, 0.0))
    return np.where(np.isfinite(redshift), error, np.nan)
