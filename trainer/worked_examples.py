"""Recipes that docs/recipes.md shows: one for each kind of rows that people come with. Tests check and run them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkedExample:
    """A recipe with the rows that it is for, and why it says what it says."""

    title: str
    words: str
    rows: tuple[str, ...]
    recipe: str


EXAMPLES: tuple[WorkedExample, ...] = (
    WorkedExample(
        title="Instructions",
        words=(
            "Rows with `instruction`, `input` and `output` (Alpaca). No template is needed: rows of this form are "
            "written in the base's chat template, where it has one, and loss counts on the answer alone. Three passes, "
            "16 rows a step, an adapter on all linear layers."
        ),
        rows=('{"instruction": "Name a herb.", "input": "It grows in shade.", "output": "Woodruff."}',),
        recipe="""\
version: 1
name: herbs
model: {base: tiny-llama}
method: {rank: 16, alpha: 32, target_modules: all-linear}
datasets:
  - datanet: herbs@1
    filters: [{min_chars: 3}, deduplicate]
train:
  epochs: 3
  batch_size: 4
  accumulation: 4
  sequence_tokens: 256
  learning_rate: 0.0002
  schedule: cosine
  warmup: 5 %
  seed: 1
output: {model: herbs}
attribution: {codes: 512}
""",
    ),
    WorkedExample(
        title="Conversations",
        words=(
            "Rows with `messages` of `role` and `content` (OpenAI), or `conversations` of `from` and `value` "
            "(ShareGPT): loss counts on the assistant's turns only. Two DataNets are mixed three to one; rows of a "
            "step share sequences, each seeing itself alone; products are in bfloat16, which is faster on GPUs."
        ),
        rows=('{"messages": [{"role": "user", "content": "When?"}, {"role": "assistant", "content": "In March."}]}',),
        recipe="""\
version: 1
name: gardener
model: {base: tiny-llama}
method: {rank: 16, alpha: 16, rslora: true, target_modules: all-linear}
datasets:
  - datanet: garden@2
    weight: 75 %
    filters: [takes_turns]
  - datanet: faq@1
    weight: 25 %
train:
  epochs: 2
  batch_size: 4
  accumulation: 8
  packing: true
  sequence_tokens: 512
  learning_rate: 0.0001
  schedule: linear
  warmup: 3 %
  precision: bf16
  gradient_checkpointing: true
  seed: 1
output: {model: gardener}
attribution: {codes: 512}
""",
    ),
    WorkedExample(
        title="Prompts with completions, and all numbers of the base",
        words=(
            "Rows with `prompt` and `completion`; of rows with other fields a template step makes both. A full "
            "fine-tune changes every number, so its learning rate is lower; its answers are explained by spans of the "
            "training text (`tsa-1`), since there is no adapter whose gradients could be indexed."
        ),
        rows=('{"question": "Which soil for carrots?", "answer": "Loose and sandy.", "votes": 12}',),
        recipe="""\
version: 1
name: soils
model: {base: tiny-llama}
method: {kind: full}
datasets:
  - datanet: soils@1
    preprocess:
      - template: {prompt: "Question: {question}\\nAnswer: ", completion: "{answer}"}
    split: {held_out: 10 %}
train:
  steps: 200
  batch_size: 8
  sequence_tokens: 128
  learning_rate: 0.00002
  weight_decay: 0.01
  seed: 1
evaluate: {rows: 64}
output: {model: soils}
attribution: {methods: [tsa-1]}
""",
    ),
)
