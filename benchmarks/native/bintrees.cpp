#include <stdexcept>

#include "cases.h"
#include "gort/base/clock.h"
#include "gort/heap/object.h"

namespace bench {
namespace {

constexpr int kMinDepth = 4;
constexpr int kMaxDepth = 16;

struct Node {
  gort::heap::Pointer<Node> left, right;
  static auto heap_pointers() { return gort::heap::pointers(&Node::left, &Node::right); }

  Node() = default;
  Node(Node* left, Node* right) : left(left), right(right) {}

  // count is the number of nodes of the tree.
  int64_t count() const {
    Node* l = left;
    return l == nullptr ? 1 : 1 + l->count() + right->count();
  }
};

// build makes a complete binary tree with 2^(depth+1) - 1 nodes.
Node* build(int depth) {
  if (depth == 0) return gort::heap::make<Node>();
  Node* left = build(depth - 1);
  Node* right = build(depth - 1);
  return gort::heap::make<Node>(left, right);
}

void must_count(const Node* tree, int depth) {
  if (tree->count() != (int64_t(1) << (depth + 1)) - 1) throw std::logic_error("bintrees: wrong number of nodes");
}

}  // namespace

double bintrees(int64_t n) {
  gort::Nanos start = gort::nanotime();
  for (int64_t i = 0; i < n; i++) {
    must_count(build(kMaxDepth + 1), kMaxDepth + 1);
    const Node* long_lived = build(kMaxDepth);
    for (int depth = kMinDepth; depth <= kMaxDepth; depth += 2) {
      for (int64_t trees = int64_t(1) << (kMaxDepth + kMinDepth - depth); trees > 0; trees--) must_count(build(depth), depth);
    }
    must_count(long_lived, kMaxDepth);
  }
  return double(gort::nanotime() - start) / double(gort::kSecond) / double(n);
}

}  // namespace bench
