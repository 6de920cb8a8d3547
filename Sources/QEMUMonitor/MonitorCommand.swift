import ControlProtocol

/// What is asked of a QEMU over its monitor (docs/interop/qmp-spec and qapi/ in QEMU's sources).
public enum MonitorCommand: Sendable, Equatable {
    /// `qmp_capabilities`: the first one, without which the monitor takes no other and sends no events. No extension is asked for.
    case capabilities
    /// `query-status`: whether the guest runs.
    case queryStatus
    /// `stop`: stops the processors, then drains and flushes the disks; answered once all of that is done.
    case stop
    /// `cont`: lets the guest go on, and repeats what failed while it stood.
    case cont
    /// `quit`: ends QEMU.
    case quit
    /// `system_powerdown`: presses the guest's power button.
    case systemPowerdown
    /// `getfd`: QEMU keeps the descriptor that comes along with the command's bytes (`SCM_RIGHTS`), under this name.
    case getDescriptor(name: String)
    /// `closefd`: QEMU closes the descriptor of this name.
    case closeDescriptor(name: String)
    /// `query-named-block-nodes`: the images that QEMU has open, without those that they are layered on twice over.
    case queryBlockNodes
    /// `query-jobs`: what QEMU does to its images by itself, such as mirroring one. QEMU before 3.0 doesn't know it.
    case queryJobs
    /// `migrate-set-capabilities` with `late-block-activate`: the target of a migration leaves its images alone until `cont`.
    case activateLate
    /// `migrate`: begins a migration to a URI; answered once it has begun.
    case migrate(uri: String)
    /// `query-migrate`: how far it has come.
    case queryMigration
    /// `migrate_cancel`: calls it off; where there is none, nothing happens.
    case cancelMigration
}

extension MonitorCommand {
    /// QEMU's name for it.
    public var name: String {
        switch self {
        case .capabilities: "qmp_capabilities"
        case .queryStatus: "query-status"
        case .stop: "stop"
        case .cont: "cont"
        case .quit: "quit"
        case .systemPowerdown: "system_powerdown"
        case .getDescriptor: "getfd"
        case .closeDescriptor: "closefd"
        case .queryBlockNodes: "query-named-block-nodes"
        case .queryJobs: "query-jobs"
        case .activateLate: "migrate-set-capabilities"
        case .migrate: "migrate"
        case .queryMigration: "query-migrate"
        case .cancelMigration: "migrate_cancel"
        }
    }

    /// The line as it is sent, with its end.
    func line(id: Int) -> [UInt8] {
        var object: JSON.Object = ["execute": .string(name)]
        switch self {
        case .getDescriptor(let name), .closeDescriptor(let name): object["arguments"] = ["fdname": .string(name)]
        case .queryBlockNodes: object["arguments"] = ["flat": true]
        case .activateLate:
            object["arguments"] = ["capabilities": [["capability": "late-block-activate", "state": true]]]
        case .migrate(let uri): object["arguments"] = ["uri": .string(uri)]
        case .capabilities, .queryStatus, .stop, .cont, .quit, .systemPowerdown, .queryMigration, .cancelMigration,
            .queryJobs:
            break
        }
        object["id"] = .integer(Int64(id))
        return JSON.object(object).serialize() + [0x0a]
    }
}
