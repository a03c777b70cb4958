"""Fine-tuning in PyTorch, whole or by LoRA: `python -m reference finetune`.

    command       the command line, and what is checked before anything is trained
    settings      what was asked for
    own_text      the user's text: read, divided, encoded
    adapters      LoRA by peft, and whether a merged model is the adapted one
    tuned         the loop: steps, evaluations, checkpoints, samples
    kept          what is left in the folder, and how it is continued
    told          what the terminal shows on the way

MAX 26.7 computes no gradients. So PyTorch trains, and what it made is verified in MAX, each
checkpoint by the same compiled program (`python -m verify training FOLDER`).
"""
