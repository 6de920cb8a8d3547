import Glibc
import Leases
import Platform

// Leases that were let go of or are yet to come: taken again under their versions, reached, and held in another way.
extension SanlockDriver {
    /// Joins where it must, and reads a block of each lease.
    public func reach(
        _ requests: [LeaseRequest], progress: @Sendable (LeaseProgress) -> Void
    ) throws(LeaseFailure) {
        if requests.contains(where: { $0.disk != nil }) {
            try membership.checkHostId()
            try files.checkPresence()
            if !membership.isJoined() { try membership.join(makes: false, progress: progress) }
            try membership.checkOwnSlot()
        }
        let joined = Set(((try? SanlockCalls.joinedLockspaces()) ?? []).map(\.name))
        for request in requests {
            do throws(SanlockCode) {
                _ = try SanlockCalls.version(of: request.resource)
            } catch {
                if error.outcome == .leaseFileMissing, request.disk != nil { throw files.missingAtTarget(request) }
                throw failure(RefusedLease(request: request, code: error))
            }
            guard joined.contains(request.resource.lockspace) else {
                throw failure(RefusedLease(request: request, code: .lockspaceNotJoined))
            }
        }
    }

    /// Becoming the only holder makes its version one higher; sharing it leaves none.
    ///
    /// The daemon refuses where other hosts share a lease, and not where other processes of this host do (3.8.5): those are
    /// looked for, before and afterwards, when it lets no further ones in.
    public func convert(_ request: LeaseRequest, to mode: LeaseMode) throws(LeaseFailure) -> HeldLease {
        if mode == .exclusive { try checkAlone(request) }
        let held = try convertUnchecked(request, to: mode)
        guard mode == .exclusive else { return held }
        do throws(LeaseFailure) { try checkAlone(request) } catch {
            _ = try? convertUnchecked(request, to: .shared)
            throw error
        }
        return held
    }

    private func checkAlone(_ request: LeaseRequest) throws(LeaseFailure) {
        let name = [request.resource.lockspace, request.resource.name]
        var wanted = request
        wanted.mode = .exclusive
        for process in (try? Files.names(in: "/proc"))?.compactMap({ Int32($0) }) ?? [] where process != pid {
            do throws(SanlockCode) {
                guard try SanlockCalls.held(by: process).keys.contains(name) else { continue }
            } catch {
                // None of the daemon's clients.
                if error.number == -ESRCH { continue }
                throw failure(RefusedLease(request: wanted, code: error))
            }
            let claims = records.claims(on: request).map(\.holder)
            var holder = claims.first { $0.pid == process && $0.hostId == settings.hostId } ?? LeaseHolder()
            holder.pid = process
            holder.hostId = holder.hostId ?? settings.hostId
            holder.liveness = .live
            throw LeaseFailure(
                .heldElsewhere, request: wanted, holder: holder,
                detail: "process \(process) of this host shares the lease")
        }
    }

    private func convertUnchecked(_ request: LeaseRequest, to mode: LeaseMode) throws(LeaseFailure) -> HeldLease {
        var wanted = request
        wanted.mode = mode
        do throws(SanlockCode) {
            try inTurn { () throws(SanlockCode) in try SanlockCalls.convert(wanted, of: pid) }
        } catch {
            guard error.number == -EALREADY else { throw failure(RefusedLease(request: wanted, code: error)) }
        }
        return held([wanted]).first ?? HeldLease(request: wanted, version: nil)
    }

    /// Takes leases again that were given back or lost. Blocks for as long as joining the lockspace takes.
    public func retake(_ leases: [HeldLease], in handover: LeaseHandover) throws(LeaseFailure) -> [HeldLease] {
        if let lease = leases.first(where: { $0.request.mode == .exclusive && $0.version == nil }) {
            throw LeaseFailure(
                .wrongVersion, request: lease.request,
                detail: "its version was not known, so nobody can tell whether somebody had it in between")
        }
        // What an attempt left.
        try giveBack(in: handover)
        if leases.contains(where: { $0.request.disk != nil }) {
            try files.checkPresence()
            if !membership.isJoined() { try membership.join(makes: false) { _ in } }
            try membership.checkOwnSlot()
        }
        do throws(LeaseFailure) {
            let wanted = try retakeAll(leases, in: handover)
            let held = held(leases.map(\.request))
            for (old, new) in zip(wanted, held) { try check(new, isAfter: old) }
            return held
        } catch {
            try? giveBack(in: handover)
            throw error
        }
    }

    private func giveBack(in handover: LeaseHandover) throws(LeaseFailure) {
        if case .arrival(let holder) = handover { recordUnused(holder) }
        try releaseAll()
    }

    // One by one: each says which it was, and there is no hurry. Returns them with the versions under which they were had.
    private func retakeAll(
        _ leases: [HeldLease], in handover: LeaseHandover
    ) throws(LeaseFailure) -> [HeldLease] {
        var wanted: [HeldLease] = []
        for lease in leases {
            var lease = lease
            let resource = lease.request.resource
            if let version = lease.version {
                lease.version = max(version, raised.withLock { $0[resource] } ?? 0)
            }
            asked.withLock { $0.append(lease.request) }
            do throws(SanlockCode) {
                lease.version = try retake(lease, in: handover)
            } catch {
                var failure = failure(RefusedLease(request: lease.request, code: error), wanted: lease.version)
                if failure.holder?.pid == pid { failure.outcome = .beingReleased }
                throw failure
            }
            // Should another one be refused, it is this version that is given back.
            if let version = lease.version { raised.withLock { $0[resource] = version + 1 } }
            wanted.append(lease)
        }
        return wanted
    }

    // Returns the version under which it was had.
    private func retake(_ lease: HeldLease, in handover: LeaseHandover) throws(SanlockCode) -> UInt64? {
        do throws(SanlockCode) {
            try inTurn { () throws(SanlockCode) in try SanlockCalls.retake([lease], for: pid) }
            return lease.version
        } catch {
            guard case .calledOff(let uuid) = handover, error == .wrongVersion, let version = lease.version,
                records.wasUnused(lease.request, version: version + 1, by: uuid)
            else { throw error }
            let next = HeldLease(request: lease.request, version: version + 1)
            try inTurn { () throws(SanlockCode) in try SanlockCalls.retake([next], for: pid) }
            return next.version
        }
    }

    private func check(_ new: HeldLease, isAfter old: HeldLease) throws(LeaseFailure) {
        guard let version = old.version else { return }
        guard let now = new.version else {
            throw LeaseFailure(.storageFailed, request: new.request, detail: "its version can't be read")
        }
        let isRight: Bool
        do throws(SystemError) {
            let isInPlace = try isInPlace(new)
            isRight = isInPlace && now == version + 1
        } catch {
            throw LeaseFailure(.storageFailed, request: new.request, detail: "its file can't be read: \(error.message)")
        }
        if !isRight { throw failure(RefusedLease(request: new.request, code: .wrongVersion), wanted: version) }
    }
}
