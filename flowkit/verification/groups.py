"""Headings of a report, in its order: what the claims of a paper are about."""

CLOSED_FORMS = "Closed forms"
UPPER = "Theorems 1 and 9: global convergence, O(T⁻³)"
LOWER = "Theorems 2 and 12: lower bound, Ω(t⁻³)"
SINGLE = "One neuron"
TOYS = "Toy cases 1 to 3"
PHASES = "Three phases (Theorems 4, 5, 6)"
PHASE_3 = "Phase 3: gradient bound, smoothness, regularity"
POTENTIAL = "Potential Z (Lemma 31)"
SEPARATION = "Separation (Lemmas 15, 27 to 29, Corollary 30)"
LEMMA_3 = "Initialisation (Lemma 3)"
CORNER = "The corner case w_i = 0"
BEYOND = "Beyond the paper"

ORDER = (
    CLOSED_FORMS,
    UPPER,
    LOWER,
    SINGLE,
    TOYS,
    PHASES,
    PHASE_3,
    POTENTIAL,
    SEPARATION,
    LEMMA_3,
    CORNER,
    BEYOND,
)
