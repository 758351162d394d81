//! Resources (placeholder of the contract: the real thing follows).

/// A bag of resources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {}
