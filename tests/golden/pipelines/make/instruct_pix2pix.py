"""StableDiffusionInstructPix2PixPipeline and StableDiffusionXLInstructPix2PixPipeline, also as CosXL edits."""

import torch
from diffusers import (
    EDMEulerScheduler,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
)
from networks import UNet
from record import NEGATIVE, PROMPT, SIZE, Family, picture
from sdxl import PROJECTION
from sdxl import components as xl_components
from stable_diffusion import components, ddim, euler


def main():
    family = Family("instruct-pix2pix")
    image = picture()
    words = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "output_type": "latent"}
    given = {"image": image, "inputs": {"image": image}}

    def pipe(scheduler):
        return StableDiffusionInstructPix2PixPipeline(**components(scheduler, UNet(in_channels=8)))

    def run(name, scheduler, steps=5, **call):
        family.run(name, pipe(scheduler), num_inference_steps=steps, **{**words, **given, **call})

    run("ddim", ddim(), guidance_scale=7.5, image_guidance_scale=1.5, probe=["unet"], output_type="np")
    run("euler", euler(), guidance_scale=6.0, image_guidance_scale=2.2)
    run("no-negative", ddim(), 3, negative_prompt=None, guidance_scale=7.5)
    run("no-guidance", ddim(), 3, negative_prompt=None, guidance_scale=1.0)
    run("image-guidance-0.5", ddim(), 3, guidance_scale=7.5, image_guidance_scale=0.5)
    both = torch.cat([image, picture(phase=72)])
    two = {"prompt": [PROMPT, "best quality"], "negative_prompt": [NEGATIVE, ""]}
    run("batch", ddim(), 3, guidance_scale=7.5, **two, image=both, inputs={"image": both})

    def xl(scheduler, **more):
        parts = {**xl_components(scheduler), "unet": UNet(in_channels=8, added=24 + PROJECTION)}
        return StableDiffusionXLInstructPix2PixPipeline(**parts, **more)

    full = {**words, **given, **SIZE, "hook": "step", "guidance_scale": 5.0, "num_inference_steps": 4}
    family.run("xl-euler", xl(euler()), probe=["unet"], **full)
    family.run("xl-rescale", xl(ddim()), guidance_rescale=0.7, image_guidance_scale=1.2, **full)
    cosine = EDMEulerScheduler(sigma_min=0.002, sigma_max=120.0, sigma_data=1.0, prediction_type="v_prediction")
    family.run("xl-cosine", xl(cosine, is_cosxl_edit=True), probe=["unet"], **full)
    family.write()
