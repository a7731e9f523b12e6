"""StableDiffusionXLPipeline (base, Turbo), StableDiffusionXLImg2ImgPipeline (base, Turbo, refiner) and its inpaint."""

from diffusers import (
    EulerAncestralDiscreteScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from networks import UNet, Vae, wave
from record import NEGATIVE, PROMPT, SIZE, Family, picture
from stable_diffusion import BETAS, ddim, dpm, euler
from text import ClipText, clip_tokenizer

PROJECTION = 10


def turbo():
    return EulerAncestralDiscreteScheduler(**BETAS, steps_offset=1, timestep_spacing="trailing")


def components(scheduler, refiner=False, zeros=True, in_channels=4):
    time_ids = 5 if refiner else 6
    return {
        "vae": Vae(scaling_factor=0.13025),
        "text_encoder": None if refiner else ClipText(),
        "text_encoder_2": ClipText(width=12, layers=4, phase=80, projection=PROJECTION),
        "tokenizer": None if refiner else clip_tokenizer(),
        "tokenizer_2": clip_tokenizer(pad=0),
        "unet": UNet(in_channels=in_channels, added=4 * time_ids + PROJECTION),
        "scheduler": scheduler,
        "force_zeros_for_empty_prompt": zeros,
        "add_watermarker": False,
    }


def text_to_image():
    family = Family("sdxl")

    def pipe(scheduler, **more):
        return StableDiffusionXLPipeline(**components(scheduler, **more))

    short = {"num_inference_steps": 3, "output_type": "latent", **SIZE}
    words = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": 5.0}
    full = {**words, **short, "num_inference_steps": 6}
    family.run("euler", pipe(euler()), probe=["unet"], **{**full, "output_type": "np"})
    family.run("dpm-karras-rescale", pipe(dpm(use_karras_sigmas=True)), guidance_rescale=0.7, **full)
    family.run("zeros-for-no-negative", pipe(euler()), prompt=PROMPT, guidance_scale=5.0, probe=["unet"], **short)
    family.run("empty-negative", pipe(euler()), prompt=PROMPT, negative_prompt="", guidance_scale=5.0, **short)
    family.run("no-zeros", pipe(euler(), zeros=False), prompt=PROMPT, guidance_scale=5.0, probe=["unet"], **short)
    sizes = {
        "original_size": (32, 40),
        "crops_coords_top_left": (3, 5),
        "target_size": (20, 28),
        "negative_original_size": (8, 12),
        "negative_crops_coords_top_left": (1, 2),
        "negative_target_size": (17, 25),
    }
    family.run("sizes", pipe(euler()), probe=["unet"], **sizes, **words, **short)
    second = {"prompt_2": "masterpiece", "negative_prompt_2": "best quality"}
    family.run("second-prompt", pipe(euler()), probe=["unet"], **second, **words, **short)
    family.run("clip-skip-1", pipe(euler()), clip_skip=1, probe=["unet"], **words, **short)
    two = {"prompt": [PROMPT, "masterpiece"], "negative_prompt": [NEGATIVE, ""], "num_images_per_prompt": 2}
    family.run("batch", pipe(euler()), **{**words, **short, **two, "num_inference_steps": 2})
    family.run("denoising-end-0.6", pipe(ddim()), denoising_end=0.6, **full)
    quick = {"prompt": PROMPT, "output_type": "latent", **SIZE}
    family.run("turbo-1", pipe(turbo()), num_inference_steps=1, guidance_scale=0.0, **{**quick, "output_type": "np"})
    family.run("turbo-4", pipe(turbo()), num_inference_steps=4, guidance_scale=0.0, probe=["unet"], **quick)
    family.run("turbo-2-guidance-1", pipe(turbo()), num_inference_steps=2, guidance_scale=1.0, **quick)
    family.write()


def image_to_image():
    family = Family("sdxl-img2img")
    image, latents = picture(), wave((1, 4, 8, 12), 75)
    words = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": 5.0, "output_type": "latent"}

    def pipe(scheduler, **more):
        return StableDiffusionXLImg2ImgPipeline(**components(scheduler, **more))

    given = {"image": image, "inputs": {"image": image}}
    family.run("euler-0.5", pipe(euler()), strength=0.5, num_inference_steps=6, probe=["unet"], **given, **words)
    family.run("dpm-0.3", pipe(dpm()), strength=0.3, num_inference_steps=7, **given, **words)
    quick = {"prompt": PROMPT, "guidance_scale": 0.0, "output_type": "latent"}
    family.run("turbo-0.5", pipe(turbo()), strength=0.5, num_inference_steps=4, **given, **quick)
    refiner = StableDiffusionXLImg2ImgPipeline(**components(euler(), refiner=True), requires_aesthetics_score=True)
    score = {"aesthetic_score": 6.5, "negative_aesthetic_score": 2.0}
    family.run("refiner-0.3", refiner, strength=0.3, num_inference_steps=7, probe=["unet"], **score, **given, **words)
    refiner = StableDiffusionXLImg2ImgPipeline(**components(ddim(), refiner=True), requires_aesthetics_score=True)
    handed = {"image": latents, "inputs": {"image": latents}}
    family.run("refiner-denoising-start-0.6", refiner, denoising_start=0.6, num_inference_steps=6, **handed, **words)
    family.write()


def inpaint():
    family = Family("sdxl-inpaint")
    image = picture()
    mask = 0.5 + wave((1, 1, 16, 24), 73, 0.5)
    call = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": 5.0, "output_type": "latent", **SIZE}
    given = {"image": image, "mask_image": mask, "inputs": {"image": image, "mask": mask}, "num_inference_steps": 6}
    for channels in (4, 9):
        for name, make in {"ddim": ddim, "euler": euler}.items():
            for strength in (0.7, 1.0):
                pipe = StableDiffusionXLInpaintPipeline(**components(make(), in_channels=channels))
                probe = ["unet"] if name == "euler" and strength == 0.7 else []
                family.run(f"{channels}-{name}-{strength}", pipe, strength=strength, probe=probe, **given, **call)
    family.write()


def main():
    text_to_image()
    image_to_image()
    inpaint()
