"""ebRIM and ebRS <-> model, stored queries; pure functions (ITI TF-3 4.2, ITI TF-2 3.18)."""
