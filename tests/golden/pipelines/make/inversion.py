"""DDIM inversion and what comes back: StableDiffusionPipeline over an inverse scheduler, then over the one it inverts."""

from diffusers import DDIMInverseScheduler, DPMSolverMultistepInverseScheduler, StableDiffusionPipeline
from networks import wave
from record import PROMPT, SIZE, Family
from stable_diffusion import components, ddim, dpm


def main():
    family = Family("inversion")
    latents = wave((1, 4, 8, 12), 78)
    call = {"prompt": PROMPT, "output_type": "latent", **SIZE}

    def there_and_back(name, inverse, forward, **more):
        for way, scheduler, start in (("there", inverse, latents), ("back", forward, None)):
            start = family.last if start is None else start
            pipe = StableDiffusionPipeline(**components(scheduler))
            family.run(f"{name}-{way}", pipe, latents=start, inputs={"start": start}, **more, **call)

    for steps in (5, 10):
        inverse = DDIMInverseScheduler.from_config(ddim().config)
        there_and_back(f"ddim-{steps}", inverse, ddim(), num_inference_steps=steps, guidance_scale=1.0)
    inverse = DDIMInverseScheduler.from_config(ddim().config)
    there_and_back("ddim-5-guided", inverse, ddim(), num_inference_steps=5, guidance_scale=3.0)
    multistep = DPMSolverMultistepInverseScheduler.from_config(dpm().config)
    there_and_back("dpm-5", multistep, dpm(), num_inference_steps=5, guidance_scale=1.0)
    family.write()
