#!/usr/bin/env bash
# What is run on a GPU machine without Node and without a network, in the repository's root:
#   bash scripts/gpu-kit.sh [--rehearse] [build] [tests] [kernels] [prune] [bench] [sanitize]     (default: all, in this order)
# Builds the plugin there and unpacks the rest from .gpu-kit/ (scripts/gpu-kit.mjs). Logs and results go to $OUT. A
# failed step does not stop those after it; a summary ends the output. --rehearse: a tiny model on a CPU, without the
# plugin.
set -u -o pipefail

OUT=${OUT:-gpu-kit-out}
KIT=${KIT:-.gpu-kit/kit.tar.xz}
BUILD=${BUILD:-build/gpu}
PYTHON=${PYTHON:-python3}
JOBS=${JOBS:-$(nproc)}

PLUGIN_TARGET=espalier_cuda
CONTENDER_TARGET=espalier_contender
TEST_TARGET=espalier_native_tests
KERNEL_CHECKS=(attention_check hopper_linear_check)
ALL_STEPS=(build tests kernels prune bench sanitize)
# Seconds after which a step, or one tool or preset of it, is ended.
declare -A LIMITS=([build]=240 [tests]=150 [kernels]=60 [sanitize]=200 [bench]=240 [prune]=200)
SANITIZER_LIMIT=60
PRESET_LIMIT=90
TEST_FILTER='*/cuda_*:*/cuda'
SANITIZER_FILTER='Operations/OperationTest.agrees*/cuda_*:Models/ModelTest.*/cuda_sequence'
BENCH_OPTIONS=${BENCH_OPTIONS:-}
PRUNE_KEEP=0.5
TASK=${TASK:-sst2}
SHOWN_LINES=60  # of a step's log

DEVICE=cuda
CHECKPOINT_OPTIONS=()
if [[ ${REHEARSE:-} ]]; then
  DEVICE=cpu
  TEST_FILTER='*/cpu_*:*/cpu'
  BENCH_OPTIONS="--quick $BENCH_OPTIONS"
  CHECKPOINT_OPTIONS=(--layers 2 --hidden 128)
fi

# Absolute, so that steps may change folders.
mkdir -p "$OUT" "$BUILD"
OUT=$(realpath "$OUT")
BUILD=$(realpath "$BUILD")
UNPACKED=$BUILD/kit
export ESPALIER_PLUGINS=$BUILD/native/backend/cuda
export HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

unpack() {
  [[ -x $UNPACKED/bin/node ]] && return
  mkdir -p "$UNPACKED"
  tar --extract --xz --file "$KIT" --directory "$UNPACKED"
}

# The one GPU's own instructions, "90a-real" on Hopper.
architecture() {
  local capability
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader --id=0 | tr -d .) || return
  [[ $capability == 90 ]] && capability=90a
  echo "$capability-real"
}

find_nvcc() {
  command -v nvcc || ls /usr/local/cuda/bin/nvcc
}

# In a toolkit's folder.
has_cublas() {
  [[ -e $1/lib64/libcublasLt.so ]] || compgen -G "$1/targets/*/lib/libcublasLt.so" >/dev/null
}

# Where the toolkit lacks cuBLAS, that of Python's packages: CMake looks for names without a version.
link_python_libraries() {
  local packages links=$BUILD/libraries
  packages=$("$PYTHON" -c 'import nvidia; print(list(nvidia.__path__)[0])')/cu13 || return
  mkdir -p "$links"
  for library in "$packages"/lib/*.so.*; do
    local name=${library##*/}
    ln -sf "$library" "$links/$name"
    ln -sf "$library" "$links/${name%%.so*}.so"
  done
  export CPATH=$packages/include CMAKE_LIBRARY_PATH=$links
}

build_googletest() {
  cmake -S "$UNPACKED/googletest" -B "$BUILD/googletest" -G Ninja --log-level=WARNING -DCMAKE_BUILD_TYPE=Release \
    -DBUILD_GMOCK=OFF "-DCMAKE_INSTALL_PREFIX=$BUILD/prefix" && ninja -C "$BUILD/googletest" -j "$JOBS" install
}

build() {
  local options=(-DESPALIER_TESTS=ON -DESPALIER_CUDA=OFF)
  local targets=("$TEST_TARGET" "$CONTENDER_TARGET")
  unpack && build_googletest || return
  if [[ $DEVICE == cuda ]]; then
    local nvcc
    nvcc=$(find_nvcc) || return
    has_cublas "$(dirname "$(dirname "$(realpath "$nvcc")")")" || link_python_libraries || return
    options=(-DESPALIER_TESTS=ON -DESPALIER_CUDA=ON
      "-DCMAKE_CUDA_COMPILER=$nvcc" "-DCMAKE_CUDA_ARCHITECTURES=$(architecture)")
    targets+=("$PLUGIN_TARGET" "${KERNEL_CHECKS[@]}")
  fi
  cmake -S . -B "$BUILD" -G Ninja -DCMAKE_BUILD_TYPE=Release "-DCMAKE_PREFIX_PATH=$BUILD/prefix" "${options[@]}" &&
    ninja -C "$BUILD" -j "$JOBS" -k 0 "${targets[@]}"
}

test_program() {
  find "$BUILD/test" -name "$TEST_TARGET" -type f
}

# Tests that find no device skip themselves, which is no success here.
tests() {
  local output=$BUILD/tests.txt
  "$(test_program)" "--gtest_filter=$TEST_FILTER" 2>&1 | tee "$output" && grep --quiet '^\[       OK \]' "$output"
}

# Single kernels, checked and timed. hopper_linear_check refuses other GPUs.
kernels() {
  local check worst=0
  for check in "${KERNEL_CHECKS[@]}"; do
    echo "== $check"
    "$BUILD/bench/cuda/$check" || worst=$?
  done
  return "$worst"
}

sanitize() {
  local tool status worst=0
  for tool in memcheck racecheck initcheck; do
    echo "== compute-sanitizer --tool $tool"
    timeout --kill-after=10 "$SANITIZER_LIMIT" compute-sanitizer --tool "$tool" --error-exitcode 99 --print-limit 20 \
      "$(test_program)" "--gtest_filter=$SANITIZER_FILTER" --gtest_brief=1 2>&1 | tee "$BUILD/$tool.log"
    status=$?
    grep --quiet --ignore-case 'device not supported' "$BUILD/$tool.log" && echo "$tool: this machine refuses it"
    ((status == 124)) && echo "$tool: not finished after $SANITIZER_LIMIT s"
    echo "$tool: exit status $status"
    ((status > worst)) && worst=$status
  done
  return "$worst"
}

bench() {
  local library
  library=$(find "$BUILD/bench" -name "lib$CONTENDER_TARGET.so")
  # shellcheck disable=SC2086  # several options in one string
  "$PYTHON" bench/cuda/against_pytorch.py --library "$library" --device "$DEVICE" --output "$OUT/against-pytorch.json" \
    $BENCH_OPTIONS
}

# The checkpoint that was packed, or else one of random weights.
prune() {
  local checkpoint=$UNPACKED/checkpoint preset worst=0
  unpack || return
  if [[ ! -e $checkpoint ]]; then
    checkpoint=$BUILD/checkpoint
    "$PYTHON" bench/cuda/make_checkpoint.py --tokenizer models/sentiment-mini --output "$checkpoint" \
      "${CHECKPOINT_OPTIONS[@]}" || return
  fi
  for preset in kwon espalier; do
    echo "== prune --preset $preset"
    timeout --kill-after=10 "$PRESET_LIMIT" "$UNPACKED/bin/node" "$UNPACKED/espalier/dist/src/cli/main.js" prune \
      "$checkpoint" --task "$TASK" --train "$checkpoint/train.tsv" --keep "$PRUNE_KEEP" --preset "$preset" \
      --device "$DEVICE" --output "$BUILD/pruned" --force --json --quiet || worst=$?
    echo
  done
  return "$worst"
}

main() {
  local steps=() step start status summary=$OUT/summary.txt
  for step in "$@"; do
    if [[ $step == --rehearse ]]; then
      export REHEARSE=1
    elif [[ " ${ALL_STEPS[*]} " == *" $step "* ]]; then
      steps+=("$step")
    else
      echo "there is no step '$step' (there are: ${ALL_STEPS[*]})" >&2
      exit 2
    fi
  done
  ((${#steps[@]} > 0)) || steps=("${ALL_STEPS[@]}")
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>&1 | tee "$summary"
  for step in "${steps[@]}"; do
    echo "==== $step"
    start=$SECONDS
    timeout --kill-after=10 "${LIMITS[$step]}" bash "$0" --step "$step" >"$OUT/$step.log" 2>&1
    status=$?
    tail --lines "$SHOWN_LINES" "$OUT/$step.log"
    printf '%-10s exit status %3d, %4d s\n' "$step" "$status" "$((SECONDS - start))" >>"$summary"
  done
  echo "==== summary"
  cat "$summary"
}

if [[ ${1:-} == --step ]]; then
  "$2"
else
  main "$@"
fi
