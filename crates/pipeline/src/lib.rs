//! The nine steps, the run ledger, resume and the report.
