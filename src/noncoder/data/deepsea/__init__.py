"""DeepSEA's data: conversion of its bundle to a store and back, and its tasks with published scores."""
