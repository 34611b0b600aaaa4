// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_COMPAT_H
#define FOREFLOW_COMPAT_H

#include "ns3/enum.h"

/**
 * @file
 * @ingroup foreflow
 * What differs between ns-3 3.37 and the newest, in one place.
 */

namespace ns3
{
namespace foreflow
{

/**
 * Makes the accessor of an enumeration attribute: from 3.41 on its type is a template argument.
 *
 * @tparam E the enumeration
 * @param member pointer to the member
 * @return the accessor
 */
template <typename E, typename M>
auto
MakeEnumAccessorCompat(M member, int) -> decltype(MakeEnumAccessor<E>(member))
{
    return MakeEnumAccessor<E>(member);
}

/**
 * @copydoc MakeEnumAccessorCompat
 */
template <typename E, typename M>
auto
MakeEnumAccessorCompat(M member, long) -> decltype(MakeEnumAccessor(member))
{
    return MakeEnumAccessor(member);
}

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_COMPAT_H
