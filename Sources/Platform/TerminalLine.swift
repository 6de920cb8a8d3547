import Glibc

/// One line on a person's terminal, written over and over: what is waited for, and how long yet.
public struct TerminalLine {
    private let terminal: Int32?
    private var isShown = false

    /// A line on this descriptor, if it is a terminal that this process may write to without being stopped.
    public init(on descriptor: Int32?) {
        terminal = descriptor.flatMap { isatty($0) == 1 && tcgetpgrp($0) == getpgrp() ? $0 : nil }
    }

    /// Whether there is somebody to show it to.
    public var hasReader: Bool { terminal != nil }

    /// Shows a text instead of the last one, cut to the terminal's width.
    ///
    /// - Parameter end: what is not cut off: how long it takes.
    public mutating func show(_ text: String, end: String = "") {
        // Not over what a shell shows that has put this job into the background.
        guard let terminal, tcgetpgrp(terminal) == getpgrp() else { return }
        var size = winsize()
        let isKnown = ioctl(terminal, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 1
        let width = isKnown ? Int(size.ws_col) - 1 : 79
        write("\r\u{1b}[K" + (text.printable.prefix(max(0, width - end.count)) + end).prefix(width))
        isShown = true
    }

    /// Takes the line away, so that the next one begins where it began.
    public mutating func clear() {
        guard isShown, let terminal, tcgetpgrp(terminal) == getpgrp() else { return }
        write("\r\u{1b}[K")
        isShown = false
    }

    private func write(_ text: String) {
        guard let terminal, Files.hasRoom(terminal) else { return }
        try? Files.write(Array(text.utf8), to: terminal)
    }
}
