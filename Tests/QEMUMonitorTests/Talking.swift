import QEMUMonitor

/// What QEMU 7.2 sends first.
let greeting =
    #"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}"#

extension MonitorConversation {
    /// One that is ready; its next command has id 2.
    static func ready() throws -> MonitorConversation {
        var conversation = MonitorConversation()
        _ = try conversation.hear(greeting)
        _ = conversation.send(.capabilities)
        _ = try conversation.hear(#"{"return": {}, "id": 1}"#)
        return conversation
    }

    /// Takes one line in, with its end as QEMU writes it.
    mutating func hear(_ line: String) throws(MonitorError) -> [MonitorNews] {
        try receive(Array((line + "\r\n").utf8))
    }
}
