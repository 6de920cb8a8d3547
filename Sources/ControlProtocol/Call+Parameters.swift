extension Call {
    /// Reads a call.
    ///
    /// - Throws: one of `org.varlink.service`'s errors, never one of the supervisor's own.
    init(method: String, parameters: JSON.Object) throws(ControlError) {
        guard let dot = method.utf8.lastIndex(of: UInt8(ascii: ".")), dot != method.startIndex else {
            throw .invalidParameter(parameter: "method")
        }
        let interface = String(method[..<dot])
        let name = String(method[method.utf8.index(after: dot)...])
        switch interface {
        case Call.interface: try self.init(supervisorMethod: name, parameters)
        case Call.serviceInterface: try self.init(serviceMethod: name, parameters)
        case Call.maintenanceInterface: try self.init(maintenanceMethod: name, parameters)
        default: throw .interfaceNotFound(interface: shortened(interface))
        }
    }

    private init(serviceMethod name: String, _ parameters: JSON.Object) throws(ControlError) {
        switch name {
        case "GetInfo":
            try CallParameters.none(parameters)
            self = .getInfo
        case "GetInterfaceDescription":
            let parameters = try CallParameters(parameters, known: ["interface"])
            self = .getInterfaceDescription(interface: try parameters.string("interface"))
        default:
            throw .methodNotFound(method: shortened(name))
        }
    }

    private init(maintenanceMethod name: String, _ parameters: JSON.Object) throws(ControlError) {
        switch name {
        case "Migrate":
            let parameters = try CallParameters(parameters, known: ["uri"])
            self = .migrate(uri: try parameters.string("uri"))
        case "Upgrade":
            let parameters = try CallParameters(parameters, known: ["program"])
            self = .upgrade(program: try parameters.optionalString("program"))
        default:
            throw .methodNotFound(method: shortened(name))
        }
    }

    private init(supervisorMethod name: String, _ parameters: JSON.Object) throws(ControlError) {
        switch name {
        case "GetChild": self = try .getChild.without(parameters)
        case "GetStatus": self = try .getStatus.without(parameters)
        case "Resume": self = try .resume.without(parameters)
        case "Kill": self = try .kill.without(parameters)
        case "Monitor": self = try .monitor.without(parameters)
        case "Acquire":
            let parameters = try CallParameters(parameters, known: ["disks", "leases", "waitSeconds"])
            self = .acquire(
                disks: try parameters.disks("disks"), leases: try parameters.strings("leases"),
                waitSeconds: try parameters.seconds("waitSeconds"))
        case "Release":
            let parameters = try CallParameters(parameters, known: ["disks", "leases"])
            self = .release(disks: try parameters.strings("disks"), leases: try parameters.strings("leases"))
        case "Suspend":
            let parameters = try CallParameters(parameters, known: ["release"])
            self = .suspend(release: try parameters.flag("release"))
        case "PrepareMigrate":
            let parameters = try CallParameters(parameters, known: ["uri"])
            self = .prepareMigrate(uri: try parameters.string("uri"))
        case "CompleteMigrateOut":
            let parameters = try CallParameters(parameters, known: ["cancel"])
            self = .completeMigrateOut(cancel: try parameters.flag("cancel"))
        case "CompleteMigrateIn":
            let parameters = try CallParameters(parameters, known: ["ticket", "cancel"])
            self = .completeMigrateIn(ticket: try parameters.ticket("ticket"), cancel: try parameters.flag("cancel"))
        case "Shutdown":
            let parameters = try CallParameters(parameters, known: ["timeoutSeconds"])
            self = .shutdown(timeoutSeconds: try parameters.seconds("timeoutSeconds"))
        default:
            throw .methodNotFound(method: shortened(name))
        }
    }

    /// This call, of a method that takes no parameters.
    private func without(_ parameters: JSON.Object) throws(ControlError) -> Call {
        try CallParameters.none(parameters)
        return self
    }
}

/// A caller's parameters. Whatever is wrong with one, unknown, mistyped, negative, not finite, it is refused by
/// the name it has in the interface text.
private struct CallParameters {
    private let fields: WireFields

    init(_ parameters: JSON.Object, known: [String]) throws(ControlError) {
        fields = WireFields(parameters)
        do { try fields.allowOnly(known) } catch { throw CallParameters.invalid(error.field) }
    }

    static func none(_ parameters: JSON.Object) throws(ControlError) {
        _ = try CallParameters(parameters, known: [])
    }

    private static func invalid(_ name: String) -> ControlError {
        .invalidParameter(parameter: shortened(name))
    }

    func flag(_ name: String) throws(ControlError) -> Bool {
        do { return try fields.optionalBool(name) ?? false } catch { throw CallParameters.invalid(name) }
    }

    func string(_ name: String) throws(ControlError) -> String {
        do {
            let string = try fields.string(name)
            guard CallParameters.isPlain(string) else { throw WireError(field: name, expected: "a string") }
            return string
        } catch {
            throw CallParameters.invalid(name)
        }
    }

    func optionalString(_ name: String) throws(ControlError) -> String? {
        fields.optional(name) == nil ? nil : try string(name)
    }

    func strings(_ name: String) throws(ControlError) -> [String] {
        do {
            let strings = try fields.optionalStrings(name) ?? []
            guard strings.allSatisfy(CallParameters.isPlain) else { throw WireError(field: name, expected: "strings") }
            return strings
        } catch {
            throw CallParameters.invalid(name)
        }
    }

    func disks(_ name: String) throws(ControlError) -> [WireDisk] {
        do {
            var disks: [WireDisk] = []
            for json in try fields.optionalArray(name) ?? [] {
                let disk = try WireDisk(strict: json)
                guard CallParameters.isPlain(disk.path) else { throw WireError(field: name, expected: "a path") }
                disks.append(disk)
            }
            return disks
        } catch {
            throw CallParameters.invalid(name)
        }
    }

    func seconds(_ name: String) throws(ControlError) -> Double? {
        do {
            guard let seconds = try fields.optionalNumber(name) else { return nil }
            guard seconds >= 0 else { throw WireError(field: name, expected: "no negative number") }
            return min(seconds, Call.longestSeconds)
        } catch {
            throw CallParameters.invalid(name)
        }
    }

    func ticket(_ name: String) throws(ControlError) -> JSON? {
        do {
            guard let ticket = try fields.optionalObject(name).map(JSON.object) else { return nil }
            guard ticket.isFinite else { throw WireError(field: name, expected: "finite numbers") }
            return ticket
        } catch {
            throw CallParameters.invalid(name)
        }
    }

    /// A NUL would end the string early wherever it is handed to C.
    private static func isPlain(_ string: String) -> Bool {
        !string.utf8.contains(0)
    }
}

extension JSON {
    /// Whether all numbers in it are finite.
    fileprivate var isFinite: Bool {
        switch self {
        case .number(let value): value.isFinite
        case .array(let elements): elements.allSatisfy(\.isFinite)
        case .object(let object): object.members.allSatisfy(\.value.isFinite)
        case .null, .bool, .integer, .string: true
        }
    }
}
