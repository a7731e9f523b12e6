"""Writes tests/golden/pipelines: trajectories of diffusers' pipelines over networks in closed form.

Run with a Python that has diffusers, transformers, torch and numpy (made with diffusers 0.35.2, torch 1.13):
python3 tests/golden/make-pipeline-goldens.py [family…], a family being a module of tests/golden/pipelines/make.
"""

import importlib
import sys
from pathlib import Path

FAMILIES = ["stable_diffusion", "sdxl", "lcm", "controlnet", "flow", "class_and_caption", "pixels", "inversion"]
FAMILIES += ["instruct_pix2pix", "latent_diffusion"]

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent / "pipelines" / "make"))
    for family in sys.argv[1:] or FAMILIES:
        importlib.import_module(family).main()
