"""Limits: the things that each format cannot say, printed with every export and listed in docs/exports.md."""

LIMITS: dict[str, tuple[str, ...]] = {
    "model-card": (
        "the metadata have no place for shares of a mix, contributors, duties or revoked data: they stand in the text",
        "base_model and datasets mean repositories of the hub: they hold the names on this chain, without versions",
        "the hub knows one licence: several terms together are 'other', and all of them stand in the text",
        "model-index has no field for an interval: it stands in the metric's name, and in the text",
    ),
    "cyclonedx": (
        "weights of a mix, rows used, heights, revoked data and what is unknown have no field: they are properties",
        "people are accounts: CycloneDX wants names and addresses of organisations, which a chain does not know",
        "parts of a manifest other than settings, files and source are only named by its root",
    ),
    "spdx": (
        "informationAboutTraining is one text: shares of the mix and rows used stand in it as words",
        "trainedOn has no weight, and metric no interval: both stand in comments",
        "an account is an Agent without a name; what the terms demand together is a comment",
        "kinds of data (text, conversations) are not proven for every row, so datasetType is noAssertion",
    ),
    "croissant": (
        "contributions are salted batches: a record set that a loader could read is in `openledger data export`",
        "versions have three numbers: version 2 of a DataNet is 2.0.0",
        "rejected and revoked submissions, reviewers and quorum have no field",
        "creators are accounts, since a chain knows no names of people",
        "what the terms demand together has no field: licences are listed side by side",
    ),
    "slsa": (
        "a training run has no predicate of its own: mix, shares and settings are external parameters",
        "it speaks of one run: what its parents were made from is in their own statements, by digest",
        "the digest of the whole model is the root of model signing, not the SHA-256 of a file",
        "evaluations and licences belong to other predicates",
    ),
    "oms": (
        "it names files and their digests alone: data, terms, parents and evaluations are in other forms",
        "without --key it is an unsigned statement, which only `openledger verify` checks",
    ),
    "prov": (
        "contributors of a version are agents that it is attributed to, with rows; single rows are not told",
        "PROV has no notion of terms or of an answer that is complete: both are attributes",
        "what is unknown is an attribute of the entity below which it is unknown, never an invented origin",
    ),
    "eu-summary": (
        "provider, market, modalities, kinds of sources, measures on illegal content: these are left for the provider",
        "sizes are rows and bytes of whole versions: the template's ranges are in tokens",
        "its numbered headings are the template's of 24 July 2025; later versions of it are not followed",
        "it is filled in from declared DataNets alone, and it is no legal advice",
    ),
}
