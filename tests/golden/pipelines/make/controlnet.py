"""StableDiffusionControlNetPipeline, its img2img and inpaint, with one ControlNet and with two, and SDXL's."""

from diffusers import (
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionXLControlNetImg2ImgPipeline,
    StableDiffusionXLControlNetInpaintPipeline,
    StableDiffusionXLControlNetPipeline,
)
from networks import ControlNet, UNet, wave
from record import NEGATIVE, PROMPT, Family, picture
from sdxl import components as xl_components
from stable_diffusion import components, ddim, euler


def main():
    family = Family("controlnet")
    words = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": 7.5, "output_type": "latent"}
    hint, other = picture(phase=76), picture(phase=77)
    one = {"image": hint, "inputs": {"control": hint}}

    def single(scheduler, **more):
        return StableDiffusionControlNetPipeline(**components(scheduler), controlnet=ControlNet(**more))

    def run(name, pipe, **call):
        family.run(name, pipe, **{**words, "num_inference_steps": 5, **call})

    run("single", single(ddim()), probe=["unet", "controlnet"], **{**one, "output_type": "np"})
    run("scale-0.5", single(euler()), controlnet_conditioning_scale=0.5, **one)
    run("from-0.2-to-0.6", single(ddim()), control_guidance_start=0.2, control_guidance_end=0.6, **one)
    run("from-0.25-to-0.7", single(euler()), control_guidance_start=0.25, control_guidance_end=0.7, **one)
    run("guess", single(ddim()), guess_mode=True, probe=["unet"], **one)
    run("guess-no-guidance", single(ddim()), guess_mode=True, **{**one, "guidance_scale": 1.0, "negative_prompt": None})
    run("global-pool", single(ddim(), global_pool_conditions=True), num_inference_steps=3, probe=["unet"], **one)
    two = {"prompt": [PROMPT, "best quality"], "negative_prompt": [NEGATIVE, ""], "num_inference_steps": 3}
    run("batch", single(ddim()), **{**one, **two})
    both = {"image": [hint, other], "inputs": {"control.0": hint, "control.1": other}}
    multi = {"controlnet": [ControlNet(0), ControlNet(1)]}
    pair = StableDiffusionControlNetPipeline(**components(ddim()), **multi)
    scales = {"controlnet_conditioning_scale": [0.7, 0.4]}
    run("multi", pair, probe=["unet"], **scales, **both)
    pair = StableDiffusionControlNetPipeline(**components(ddim()), **multi)
    run("multi-intervals", pair, control_guidance_start=[0.0, 0.3], control_guidance_end=[0.5, 1.0], **scales, **both)
    image = picture()
    start = {"image": image, "control_image": hint, "inputs": {"image": image, "control": hint}, "strength": 0.6}
    pipe = StableDiffusionControlNetImg2ImgPipeline(**components(ddim()), controlnet=ControlNet())
    run("img2img-0.6", pipe, control_guidance_end=0.7, **{**start, "num_inference_steps": 7})
    mask = 0.5 + wave((1, 1, 16, 24), 73, 0.5)
    masked = {**start, "mask_image": mask, "inputs": {**start["inputs"], "mask": mask}}
    for channels in (4, 9):
        parts = components(ddim(), UNet(in_channels=channels))
        pipe = StableDiffusionControlNetInpaintPipeline(**parts, controlnet=ControlNet())
        run(f"inpaint-{channels}-0.6", pipe, controlnet_conditioning_scale=0.5, **masked)
    family.write()
    xl()


def xl():
    family = Family("sdxl-controlnet")
    words = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": 5.0, "output_type": "latent"}
    hint, other, image = picture(phase=76), picture(phase=77), picture()
    one = {"image": hint, "inputs": {"control": hint}, "num_inference_steps": 4}

    def pipe(scheduler, nets):
        return StableDiffusionXLControlNetPipeline(**xl_components(scheduler), controlnet=nets)

    scaled = {"controlnet_conditioning_scale": 0.6, "control_guidance_end": 0.8}
    family.run("single", pipe(euler(), ControlNet()), probe=["unet", "controlnet"], **scaled, **one, **words)
    family.run("guess", pipe(ddim(), ControlNet()), guess_mode=True, **one, **words)
    pooled = ControlNet(global_pool_conditions=True)
    family.run("global-pool", pipe(ddim(), pooled), **one, **words)
    both = {"image": [hint, other], "inputs": {"control.0": hint, "control.1": other}, "num_inference_steps": 4}
    nets = [ControlNet(0), ControlNet(1)]
    family.run("multi", pipe(ddim(), nets), controlnet_conditioning_scale=[0.7, 0.4], **both, **words)
    start = {"image": image, "control_image": hint, "inputs": {"image": image, "control": hint}, "num_inference_steps": 6}
    img2img = StableDiffusionXLControlNetImg2ImgPipeline(**xl_components(ddim()), controlnet=ControlNet())
    mask = 0.5 + wave((1, 1, 16, 24), 73, 0.5)
    masked = {**start, "mask_image": mask, "inputs": {**start["inputs"], "mask": mask}, "controlnet_conditioning_scale": 0.5}
    for channels in (4, 9):
        parts = xl_components(euler(), in_channels=channels)
        inpaint = StableDiffusionXLControlNetInpaintPipeline(**parts, controlnet=ControlNet())
        family.run(f"inpaint-{channels}-0.6", inpaint, strength=0.6, **masked, **words)
    family.run("img2img-0.6", img2img, strength=0.6, controlnet_conditioning_scale=0.8, **start, **words)
    family.write()
