//! Placeholder until the frame ring lands.
