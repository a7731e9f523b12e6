"""StableDiffusion3Pipeline and FluxPipeline, their img2img and inpaint."""

from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    FluxImg2ImgPipeline,
    FluxInpaintPipeline,
    FluxPipeline,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3InpaintPipeline,
    StableDiffusion3Pipeline,
)
from networks import Vae, wave
from record import NEGATIVE, PROMPT, SIZE, Family, picture
from text import T5, ClipText, clip_tokenizer, t5_tokenizer
from transformers_in_closed_form import FluxTransformer, Sd3Transformer

FLUX = {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256, "max_image_seq_len": 4096}


def masked():
    mask = 0.5 + wave((1, 1, 16, 24), 73, 0.5)
    return {"image": picture(), "mask_image": mask, "inputs": {"image": picture(), "mask": mask}}


def stable_diffusion_3():
    family = Family("sd3")

    def parts(t5=True, **scheduler):
        return {
            "transformer": Sd3Transformer(),
            "scheduler": FlowMatchEulerDiscreteScheduler(**{"shift": 3.0, **scheduler}),
            "vae": Vae(scaling_factor=1.5305, shift_factor=0.0609),
            "text_encoder": ClipText(projection=6),
            "tokenizer": clip_tokenizer(),
            "text_encoder_2": ClipText(width=10, layers=4, phase=80, projection=8),
            "tokenizer_2": clip_tokenizer(pad=0),
            "text_encoder_3": T5() if t5 else None,
            "tokenizer_3": t5_tokenizer() if t5 else None,
        }

    def pipe(**more):
        return StableDiffusion3Pipeline(**parts(**more))

    words = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": 7.0, "output_type": "latent"}
    call = {**words, "max_sequence_length": 16, **SIZE}
    probe = ["transformer"]
    family.run("euler", pipe(), num_inference_steps=6, probe=probe, **{**call, "output_type": "np"})
    family.run("no-guidance", pipe(), num_inference_steps=3, **{**call, "guidance_scale": 1.0})
    family.run("no-negative", pipe(), num_inference_steps=3, **{**call, "negative_prompt": None})
    family.run("no-t5", pipe(t5=False), num_inference_steps=3, probe=probe, **call)
    family.run("clip-skip-1", pipe(), num_inference_steps=3, clip_skip=1, **call)
    apart = {"prompt_2": "masterpiece", "prompt_3": "best quality", "negative_prompt_2": "a cat", "negative_prompt_3": ""}
    family.run("prompts-apart", pipe(), num_inference_steps=3, **apart, **call)
    dynamic = {"shift": 1.0, **FLUX}
    family.run("dynamic-shift", pipe(**dynamic), num_inference_steps=4, **call)
    two = {"prompt": [PROMPT, "masterpiece"], "negative_prompt": [NEGATIVE, ""], "num_images_per_prompt": 2}
    family.run("batch", pipe(), num_inference_steps=2, **{**call, **two})
    image = {"image": picture(), "inputs": {"image": picture()}}
    start = StableDiffusion3Img2ImgPipeline(**parts())
    family.run("img2img-0.5", start, strength=0.5, num_inference_steps=7, **image, **call)
    for strength in (0.7, 1.0):
        # It wants 16 channels in the configuration, whatever the VAE has.
        inpaint = StableDiffusion3InpaintPipeline(**{**parts(), "transformer": Sd3Transformer(channels=16)})
        family.run(f"inpaint-{strength}", inpaint, strength=strength, num_inference_steps=6, **masked(), **call)
    family.write()


def flux():
    family = Family("flux")

    def pipe(guidance=True, kind=FluxPipeline, **scheduler):
        return kind(
            scheduler=FlowMatchEulerDiscreteScheduler(**{"shift": 3.0, **FLUX, **scheduler}),
            vae=Vae(scaling_factor=0.3611, shift_factor=0.1159),
            text_encoder=ClipText(),
            tokenizer=clip_tokenizer(),
            text_encoder_2=T5(),
            tokenizer_2=t5_tokenizer(),
            transformer=FluxTransformer(guidance=guidance),
        )

    call = {"prompt": PROMPT, "max_sequence_length": 16, "output_type": "latent", **SIZE}
    probe = ["transformer"]
    family.run("dev", pipe(), num_inference_steps=6, guidance_scale=3.5, probe=probe, **{**call, "output_type": "np"})
    schnell = pipe(guidance=False, use_dynamic_shifting=False, shift=1.0)
    family.run("schnell", schnell, num_inference_steps=4, guidance_scale=0.0, probe=probe, **call)
    family.run("second-prompt", pipe(), num_inference_steps=3, prompt_2="best quality", **call)
    true = {"negative_prompt": NEGATIVE, "true_cfg_scale": 4.0}
    family.run("true-cfg", pipe(), num_inference_steps=4, guidance_scale=2.0, **true, **call)
    two = {"prompt": [PROMPT, "masterpiece"], "num_images_per_prompt": 2}
    family.run("batch", pipe(), num_inference_steps=2, **{**call, **two})
    image = {"image": picture(), "inputs": {"image": picture()}}
    start = pipe(kind=FluxImg2ImgPipeline)
    family.run("img2img-0.5", start, strength=0.5, num_inference_steps=7, guidance_scale=3.5, **image, **call)
    for strength in (0.7, 1.0):
        inpaint = pipe(kind=FluxInpaintPipeline)
        family.run(f"inpaint-{strength}", inpaint, strength=strength, num_inference_steps=6, guidance_scale=3.5, **masked(), **call)
    family.write()


def main():
    stable_diffusion_3()
    flux()
