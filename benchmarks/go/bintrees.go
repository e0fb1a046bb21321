package main

import "time"

const (
	minDepth = 4
	maxDepth = 16
)

type node struct{ left, right *node }

// build makes a complete binary tree with 2^(depth+1) - 1 nodes.
func build(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{build(depth - 1), build(depth - 1)}
}

// count is the number of nodes of the tree.
func (n *node) count() int {
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

// bintrees returns the seconds one of n runs of the whole program takes.
func bintrees(n int) float64 {
	start := time.Now()
	for i := 0; i < n; i++ {
		mustCount(build(maxDepth+1), maxDepth+1)
		longLived := build(maxDepth)
		for depth := minDepth; depth <= maxDepth; depth += 2 {
			for trees := 1 << (maxDepth + minDepth - depth); trees > 0; trees-- {
				mustCount(build(depth), depth)
			}
		}
		mustCount(longLived, maxDepth)
	}
	return time.Since(start).Seconds() / float64(n)
}

// mustCount counts the tree and panics if a node got lost.
func mustCount(tree *node, depth int) {
	if got, want := tree.count(), 1<<(depth+1)-1; got != want {
		panic("bintrees: wrong number of nodes")
	}
}
