import ControlProtocol
import Glibc
import Leases
import Platform
import Supervision

// The control socket: who may ask, what is answered, and what everybody is told.
extension Supervisor {
    /// How many may be connected at once. What the process needs besides, for files and for sanlock, is left free.
    private var mostClients: Int { max(1, min(4096, InheritedDescriptors.limit() - 64)) }

    func acceptClients() {
        // A few at a time, so that a flood of clients doesn't keep the loop from the guest.
        for _ in 0..<64 {
            guard clients.count < mostClients else { return pauseListening() }
            let accepted: Descriptor?
            do throws(SystemError) { accepted = try UnixSocket.accept(from: listener) } catch {
                if isListening { note(.warning, "a client could not be accepted: \(error.message)") }
                return pauseListening()
            }
            guard let descriptor = accepted else { return }
            let user = UnixSocket.peer(of: descriptor.number)?.user
            let client = ControlClient(descriptor, isOwner: user == 0 || user == geteuid())
            guard let identity = try? loop.watch(client.descriptor.number, for: .readable, as: .client(client)) else {
                continue
            }
            client.identity = identity
            clients[identity] = client
        }
    }

    // Who waits in the backlog is served when somebody else has gone, or a moment later.
    private func pauseListening() {
        loop.start(.acceptAgain, seconds: 0.2)
        guard isListening else { return }
        isListening = false
        loop.change(listener.number, to: [], identity: listenerIdentity)
    }

    func resumeListening() {
        guard !isListening else { return }
        isListening = true
        loop.change(listener.number, to: .readable, identity: listenerIdentity)
    }

    func serve(_ client: ControlClient, _ seen: Readiness) {
        guard clients[client.identity] != nil else { return }
        if seen.contains(.writable), !client.flush() { return drop(client) }
        var isThere = seen.isDisjoint(with: .hungUp)
        if !client.isFull, !seen.isDisjoint(with: [.readable, .hungUp]) {
            isThere = client.receive()
            takeCalls(of: client)
        }
        // Also one that only sends no more: whoever is gone at the far end of a forwarded socket looks like that.
        if isThere { watch(client) } else { drop(client) }
    }

    /// Answers what was held back while something else was to be answered first.
    func answerHeldCalls() {
        for client in clients.values where client.owed == 0 {
            while client.owed == 0, !client.held.isEmpty, clients[client.identity] != nil {
                answer(client.held.removeFirst(), to: client)
            }
            takeCalls(of: client)
            watch(client)
        }
    }

    private func takeCalls(of client: ControlClient) {
        do throws(FramerError) {
            while clients[client.identity] != nil, !client.isFull, let message = try client.framer.next() {
                take(message, of: client)
            }
        } catch {
            drop(client)
        }
    }

    private func take(_ message: [UInt8], of client: ControlClient) {
        let call = Result { () throws(CallError) in try CallMessage(message: message) }
        if case .failure(.notACall) = call { return drop(client) }
        if client.held.isEmpty, client.owed == 0 || endsWaiting(call, of: client) { return answer(call, to: client) }
        // It is answered in its turn, and doesn't wait for that.
        if client.isOwner, call.endsGuest { handle(.killRequested) }
        client.held.append(call)
        client.heldBytes += message.count
    }

    // Whether it ends what its caller waits for, which is answered by that: a guest, or the migration whose end it is.
    private func endsWaiting(_ call: Result<CallMessage, CallError>, of client: ControlClient) -> Bool {
        guard case .success(let message) = call else { return false }
        switch (message.call, pendingOrder?.order) {
        case (.shutdown, _), (.kill, _): return true
        case (.completeMigrateOut(cancel: true), .leave?), (.completeMigrateIn(_, cancel: true), .arrive?):
            return pendingOrder?.client === client
        default: return false
        }
    }

    private func answer(_ call: Result<CallMessage, CallError>, to client: ControlClient) {
        do throws(CallError) {
            let call = try call.get()
            guard client.isOwner else { throw .refused(.notPermitted, oneway: call.oneway) }
            if call.oneway {
                _ = reply(to: call, from: client)
                return
            }
            client.owed += 1
            guard let reply = reply(to: call, from: client) else { return }
            send(reply, to: client)
            // One that follows the events is answered by them until the end.
            if !(call.call == .monitor && call.more) { client.owed -= 1 }
        } catch {
            switch error {
            case .notACall: drop(client)
            case .refused(let refusal, let oneway): if !oneway { send(.error(refusal), to: client) }
            }
        }
    }

    /// Answers a call that had to wait.
    func answer(_ client: ControlClient, _ reply: Reply) {
        send(reply, to: client)
        client.owed = max(0, client.owed - 1)
        // Not here: what the answer is the end of may not be over yet.
        if client.owed == 0, !client.held.isEmpty { loop.start(.heldCalls, seconds: 0) }
    }

    // Nil: the answer comes when what was asked for is done.
    private func reply(to message: CallMessage, from client: ControlClient) -> Reply? {
        switch message.call {
        case .getInfo: return .info
        case .getInterfaceDescription(let interface): return .description(of: interface)
        case .getChild: return child.map { .child($0.pid) } ?? .error(.wrongState(state: wireState.rawValue))
        case .getStatus: return .status(status())
        case .monitor:
            client.monitors = message.more
            return .monitor(status: status(), event: nil, continues: message.more)
        case .shutdown(let timeoutSeconds):
            if !message.oneway { waiters.append(client) }
            handle(.stopRequested(timeoutSeconds: timeoutSeconds ?? plan.stopTimeoutSeconds))
            return nil
        case .kill:
            if !message.oneway { waiters.append(client) }
            handle(.killRequested)
            return nil
        case .acquire, .release, .suspend, .resume, .prepareMigrate, .completeMigrateOut, .completeMigrateIn:
            return reply(toOrder: message.call, from: message.oneway ? nil : client)
        case .migrate(let uri): return migrate(to: uri, for: message.oneway ? nil : client)
        case .upgrade(let program): return upgrade(to: program, for: message.oneway ? nil : client)
        }
    }

    func send(_ reply: Reply, to client: ControlClient) {
        guard clients[client.identity] != nil else { return }
        if !client.send(reply.message()) { return drop(client) }
        if client.isBehind { watch(client) }
    }

    private func watch(_ client: ControlClient) {
        guard clients[client.identity] != nil else { return }
        var interest: Readiness = client.isFull ? [] : .readable
        if client.isBehind { interest.insert(.writable) }
        loop.change(client.descriptor.number, to: interest, identity: client.identity)
    }

    private func drop(_ client: ControlClient) {
        guard clients.removeValue(forKey: client.identity) != nil else { return }
        loop.forget(client.descriptor.number, identity: client.identity)
        waiters.removeAll { $0 === client }
        forgetOrder(of: client)
        resumeListening()
    }

    private static var longestHistory: Int { 32 }

    /// Tells an event to everyone who follows, and to the log.
    ///
    /// - Parameter isWritten: whether the files tell of it first, for those who hear of it and look there.
    func emit(
        _ name: WireEvent.Name, _ detail: [WireEvent.Detail], isWritten: Bool = false, isLast: Bool = false
    ) {
        lastSequence += 1
        let event = WireEvent(sequence: lastSequence, time: Supervisor.timeNow(), event: name, detail: detail)
        history = history.suffix(Supervisor.longestHistory - 1) + [event]
        note(.info, "\(name.rawValue)", metadata: .init(uniqueKeysWithValues: detail.map { ($0.name, "\($0.value)") }))
        if isWritten { writeChild() }
        for client in clients.values.filter(\.monitors) {
            send(.monitor(status: nil, event: event, continues: !isLast), to: client)
        }
    }

    /// Before the end: gives clients that read a second to get what was sent to them.
    func flushClients() {
        let deadline = Clock.monotonicSeconds() + 1
        while Clock.monotonicSeconds() < deadline {
            let behind = clients.values.filter { $0.isBehind && $0.flush() && $0.isBehind }
            if behind.isEmpty { return }
            usleep(2000)
        }
    }
}

extension Result where Success == CallMessage, Failure == CallError {
    /// Whether it kills the guest.
    fileprivate var endsGuest: Bool {
        guard case .success(let message) = self else { return false }
        return message.call == .kill
    }
}

// MARK: - Status

extension Supervisor {
    var wireState: WireStatus.State {
        switch supervision.state {
        case .acquiring: .acquiring
        case .starting: .starting
        // One that stood by order stands; any other doesn't until that is certain.
        case .pausing(let pausing) where pausing.stands: supervision.isLeaving ? .migrating : .paused
        case .running, .pausing: supervision.isLeaving ? .migrating : .running
        case .paused(let paused):
            // Only when its monitor has answered it can be migrated to.
            paused.purpose == .arrival
                ? (monitor.isReadyToReceive ? .incoming : .starting) : supervision.isLeaving ? .migrating : .paused
        case .stopping, .rescuing, .releasing: .stopping
        case .finished: .exited
        }
    }

    func status() -> WireStatus {
        let now = Clock.monotonicSeconds()
        return WireStatus(
            name: plan.name.text, uuid: plan.uuid, id: plan.id, supervisorPid: getpid(), childPid: child?.pid,
            state: wireState, since: since, command: plan.start.arguments.strings, driver: driver.name,
            onLeaseLoss: plan.settings.pauses ? "pause" : "poweroff", watchdog: isWatchdogOn, leases: leases.map(wire),
            lockspaces: lockspaces.map {
                WireLockspace(
                    name: $0.name, hostId: Int(clamping: $0.hostId), hostName: $0.hostName,
                    lastRenewalSeconds: $0.renewalAgeSeconds(now: now), actsInSeconds: $0.failsInSeconds(now: now),
                    othersMayTakeInSeconds: $0.othersMayTakeInSeconds(now: now))
            })
    }

    func wire(_ lease: HeldLease) -> WireLease {
        let resource = lease.request.resource
        let mode: WireLease.Mode = lease.request.mode == .shared ? .shared : .exclusive
        return WireLease(
            disk: lease.request.disk, mode: mode, lockspace: resource.lockspace, resource: resource.name,
            path: resource.path, offset: Int(clamping: resource.offsetBytes),
            version: lease.version.map(Int.init(clamping:)),
            state: leaseState)
    }
}
