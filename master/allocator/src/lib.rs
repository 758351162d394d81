//! Who is offered what: dominant-resource fairness as a pure core.
