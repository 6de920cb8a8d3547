extension ControlError: CustomStringConvertible {
    /// One line for people, what is wrong and what to do about it, to be put behind "can't do this: ". Whatever the
    /// other side sent, it holds no control characters.
    public var message: String {
        switch self {
        case .busy(let disk, let lease, let holder):
            "\(oneLine(disk ?? "lease " + lease)) is held\(holder?.message ?? "; stop its guest, or --wait")"
        case .leaseLost:
            "a lease was lost, and the guest with it; see status, check the storage and the sanlock daemon, start it again"
        case .wrongState(let state):
            "the guest is \(oneLine(state)), and this can't be done then; see status"
        case .notPermitted, .permissionDenied:
            "not permitted; be root or the user who owns the guest"
        case .invalidResource(let resource, let why):
            "\(oneLine(resource)) can't be used: \(oneLine(why))"
        case .unavailable(let why):
            "not available: \(oneLine(why)); try leasehold doctor"
        case .interfaceNotFound(let interface):
            "no interface \(oneLine(interface)) here; is this a supervisor's socket, and of this version?"
        case .methodNotFound(let method), .methodNotImplemented(let method):
            "the supervisor has no method \(oneLine(method)); it is of another version, restart the guest to renew it"
        case .invalidParameter(let parameter):
            "the parameter \(oneLine(parameter)) is missing, unknown or not acceptable; correct it"
        case .expectedMore:
            "this method has to be called with more"
        case .other(let name, let parameters):
            "\(oneLine(name)) \(oneLine(JSON.object(parameters).description)); is the supervisor of another version?"
        }
    }

    /// The same as ``message``.
    public var description: String { message }
}

extension WireHolder {
    /// The rest of a sentence that ends in "is held".
    fileprivate var message: String {
        var text = ""
        if let guest { text += " by guest \(oneLine(guest))" } else if let pid { text += " by process \(pid)" }
        switch (hostName, hostId) {
        case (let hostName?, let hostId?): text += " on host \(oneLine(hostName)) (host id \(hostId))"
        case (let hostName?, nil): text += " on host \(oneLine(hostName))"
        case (nil, let hostId?): text += " on the host with id \(hostId)"
        case (nil, nil): break
        }
        if let since { text += " since \(oneLine(since))" }
        switch liveness {
        case .live: text += "; stop it there, or --wait"
        case .dead: text += "; that host is dead and its leases get free by themselves, --wait"
        case .unknown: text += "; whether that host lives isn't known yet, --wait, or stop it there"
        }
        return text
    }
}

/// A text without line breaks and other control characters, so that nobody's disk name can forge a line of a log.
func oneLine(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    var line = ""
    for scalar in text.unicodeScalars {
        if isControl(scalar) {
            line += "\\u{\(String(scalar.value, radix: 16))}"
        } else {
            line.unicodeScalars.append(scalar)
        }
    }
    return line
}

private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    // C0, DEL, C1, and the two separators that Unicode calls line ends.
    scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value) || (0x2028...0x2029).contains(scalar.value)
}

/// What a caller sent, short enough to be sent back.
func shortened(_ text: String) -> String {
    guard text.utf8.count > 256 else { return text }
    return String(String.UnicodeScalarView(text.unicodeScalars.prefix(128))) + "…"
}
