// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/speculation.h"

namespace foreflow::path {

Speculations::Speculations(std::size_t places) : places_(places) {
  std::size_t buckets = 1;
  while (buckets < places) buckets *= 2;
  bucket_.assign(buckets, kNone);
}

std::uint32_t Speculations::Find(const rules::EntryKey& entry, std::uint64_t hash) const {
  std::uint32_t place = bucket_[hash & (bucket_.size() - 1)];
  while (place != kNone && !(places_[place].guess.entry == entry)) place = places_[place].chain;
  return place;
}

void Speculations::Remove(std::uint32_t place) {
  std::uint32_t* link = &Bucket(places_[place].guess.hash);
  while (*link != place) link = &places_[*link].chain;
  *link = places_[place].chain;
  places_[place].waits = false;
  --waiting_;
}

bool Speculations::Add(const Guess& guess, Guess& wrong) {
  if (places_.empty()) return false;
  const std::uint32_t place = next_;
  next_ = static_cast<std::uint32_t>((next_ + 1) % places_.size());
  const bool pushed_out = places_[place].waits;
  if (pushed_out) {
    wrong = places_[place].guess;
    Remove(place);
  }
  std::uint32_t& bucket = Bucket(guess.hash);
  places_[place] = {guess, bucket, true};
  bucket = place;
  ++waiting_;
  return pushed_out;
}

bool Speculations::Resolve(const rules::EntryKey& entry, std::uint64_t hash, Guess& guess) {
  if (waiting_ == 0) return false;
  const std::uint32_t place = Find(entry, hash);
  if (place == kNone) return false;
  guess = places_[place].guess;
  Remove(place);
  return true;
}

}  // namespace foreflow::path
