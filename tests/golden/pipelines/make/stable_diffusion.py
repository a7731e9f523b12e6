"""StableDiffusionPipeline, its img2img and inpaint."""

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from networks import UNet, Vae, wave
from record import NEGATIVE, PROMPT, SIZE, Family, picture
from text import ClipText, clip_tokenizer

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def ddim(**more):
    return DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1, **more)


def pndm():
    return PNDMScheduler(**BETAS, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)


def euler(**more):
    return EulerDiscreteScheduler(**BETAS, steps_offset=1, **more)


def dpm(**more):
    return DPMSolverMultistepScheduler(**BETAS, steps_offset=1, **more)


def components(scheduler, unet=None):
    return {
        "vae": Vae(),
        "text_encoder": ClipText(),
        "tokenizer": clip_tokenizer(),
        "unet": unet or UNet(),
        "scheduler": scheduler,
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def text_to_image():
    family = Family("stable-diffusion")
    words = {"prompt": PROMPT, "negative_prompt": NEGATIVE}
    base = {**SIZE, "output_type": "latent"}

    def pipe(scheduler):
        return StableDiffusionPipeline(**components(scheduler))

    guided = {**words, **base, "guidance_scale": 7.5}
    family.run("ddim", pipe(ddim()), num_inference_steps=6, probe=["unet"], **{**guided, "output_type": "np"})
    family.run("ddim-rescale", pipe(ddim()), num_inference_steps=6, guidance_rescale=0.7, **guided)
    family.run("ddim-eta", pipe(ddim()), num_inference_steps=5, eta=0.5, **guided)
    family.run("pndm", pipe(pndm()), num_inference_steps=6, **guided)
    family.run("euler", pipe(euler()), num_inference_steps=6, **guided)
    karras = dpm(use_karras_sigmas=True)
    family.run("dpm-karras", pipe(karras), num_inference_steps=6, **guided)
    v = ddim(prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing")
    family.run("ddim-v-zero-snr-rescale", pipe(v), num_inference_steps=5, guidance_rescale=0.7, **guided)
    family.run("ddim-clip-skip-1", pipe(ddim()), num_inference_steps=3, clip_skip=1, probe=["unet"], **guided)
    family.run("ddim-clip-skip-2", pipe(ddim()), num_inference_steps=3, clip_skip=2, **guided)
    family.run("ddim-no-guidance", pipe(ddim()), num_inference_steps=3, prompt=PROMPT, guidance_scale=1.0, **base)
    family.run("ddim-no-negative", pipe(ddim()), num_inference_steps=3, prompt=PROMPT, guidance_scale=5.0, **base)
    two = {"prompt": [PROMPT, "masterpiece, best quality"], "negative_prompt": [NEGATIVE, ""], "num_images_per_prompt": 2}
    family.run("euler-batch", pipe(euler()), num_inference_steps=3, guidance_scale=7.5, probe=["unet"], **two, **base)
    long = " ".join(["a photo of a cat, best quality"] * 12)
    family.run("ddim-truncated", pipe(ddim()), num_inference_steps=3, prompt=long, guidance_scale=7.5, probe=["unet"], **base)
    family.write()


def image_to_image():
    family = Family("stable-diffusion-img2img")
    image = picture()
    call = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": 7.5, "output_type": "latent"}
    schedulers = {"ddim": ddim, "euler": euler, "dpm-multistep": dpm, "pndm": pndm}
    for name, make in schedulers.items():
        for strength in (0.3, 0.6, 1.0) if name != "pndm" else (0.6,):
            pipe = StableDiffusionImg2ImgPipeline(**components(make()))
            family.run(
                f"{name}-{strength}", pipe, image=image, strength=strength, num_inference_steps=7, inputs={"image": image}, **call
            )
    pipe = StableDiffusionImg2ImgPipeline(**components(ddim()))
    latents = wave((1, 4, 8, 12), 71)
    family.run("ddim-latents-0.6", pipe, image=latents, strength=0.6, num_inference_steps=7, inputs={"image": latents}, **call)
    pipe = StableDiffusionImg2ImgPipeline(**components(ddim()))
    batch = {**call, "prompt": [PROMPT, "best quality"], "negative_prompt": [NEGATIVE, NEGATIVE], "output_type": "np"}
    both = torch.cat([image, picture(phase=72)])
    family.run("ddim-batch-0.5", pipe, image=both, strength=0.5, num_inference_steps=4, inputs={"image": both}, **batch)
    family.write()


def inpaint():
    family = Family("stable-diffusion-inpaint")
    image = picture()
    mask = 0.5 + wave((1, 1, 16, 24), 73, 0.5)
    mask[0, 0, :4, :4] = 0.5
    call = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": 7.5, **SIZE}
    inputs = {"image": image, "mask": mask}
    for channels in (4, 9):
        for scheduler, make in {"ddim": ddim, "euler": euler}.items():
            for strength in (1.0, 0.7):
                pipe = StableDiffusionInpaintPipeline(**components(make(), UNet(in_channels=channels)))
                first = scheduler == "ddim" and strength == 1.0
                family.run(
                    f"{channels}-{scheduler}-{strength}",
                    pipe,
                    image=image,
                    mask_image=mask,
                    strength=strength,
                    num_inference_steps=6,
                    inputs=inputs,
                    probe=["unet"] if first else [],
                    output_type="np" if first else "latent",
                    **call,
                )
    large = 0.5 + wave((1, 1, 32, 48), 74, 0.5)
    pipe = StableDiffusionInpaintPipeline(**components(ddim(), UNet(in_channels=9)))
    family.run(
        "9-ddim-large-mask",
        pipe,
        image=image,
        mask_image=large,
        num_inference_steps=3,
        inputs={"image": image, "mask": large},
        probe=["unet"],
        output_type="latent",
        **call,
    )
    family.write()


def main():
    text_to_image()
    image_to_image()
    inpaint()
