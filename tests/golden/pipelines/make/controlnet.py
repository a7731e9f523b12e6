"""StableDiffusionControlNetPipeline and its img2img, with one ControlNet and with two."""

from diffusers import StableDiffusionControlNetImg2ImgPipeline, StableDiffusionControlNetPipeline
from networks import ControlNet
from record import NEGATIVE, PROMPT, Family, picture
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
    family.write()
