"""LatentConsistencyModelPipeline, its img2img, and an LCM U-Net in StableDiffusionPipeline."""

from diffusers import (
    LatentConsistencyModelImg2ImgPipeline,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
)
from networks import UNet
from record import PROMPT, SIZE, Family, picture
from stable_diffusion import BETAS, components


def lcm(**more):
    return LCMScheduler(**BETAS, original_inference_steps=50, clip_sample=False, **more)


def main():
    family = Family("lcm")
    call = {"prompt": PROMPT, "output_type": "latent"}

    def parts():
        return components(lcm(), UNet(time_cond_proj_dim=8))

    def pipe():
        return LatentConsistencyModelPipeline(**parts())

    family.run("4-steps", pipe(), num_inference_steps=4, guidance_scale=8.5, probe=["unet"], **{**call, "output_type": "np"}, **SIZE)
    family.run("1-step", pipe(), num_inference_steps=1, guidance_scale=1.5, **call, **SIZE)
    family.run("original-steps-20", pipe(), num_inference_steps=3, original_inference_steps=20, guidance_scale=1.5, **call, **SIZE)
    batch = {**call, "prompt": [PROMPT, "best quality"]}
    family.run("batch", pipe(), num_inference_steps=2, guidance_scale=4.0, **batch, **SIZE)
    image = {"image": picture(), "inputs": {"image": picture()}}
    family.run("img2img-0.5", LatentConsistencyModelImg2ImgPipeline(**parts()), strength=0.5, num_inference_steps=4, **image, **call)
    shorter = LatentConsistencyModelImg2ImgPipeline(**parts())
    family.run("img2img-0.37", shorter, strength=0.37, num_inference_steps=3, **image, **call)
    original = LatentConsistencyModelImg2ImgPipeline(**parts())
    family.run("img2img-original-steps-20", original, strength=0.8, num_inference_steps=4, original_inference_steps=20, **image, **call)
    usual = StableDiffusionImg2ImgPipeline(**parts())
    family.run("img2img-in-stable-diffusion", usual, strength=0.6, num_inference_steps=4, guidance_scale=8.5, **image, **call)
    family.run("in-stable-diffusion", StableDiffusionPipeline(**parts()), num_inference_steps=4, guidance_scale=8.5, **call, **SIZE)
    plain = StableDiffusionPipeline(**components(lcm()))
    family.run("guided-batch", plain, num_inference_steps=4, guidance_scale=1.8, **call, **SIZE)
    family.write()
