// A library with nothing that a plugin has.

extern "C" __attribute__((visibility("default"))) int somethingElse() { return 0; }
