import TestSupport

extension TwoHosts {
    private static let doctorPair = Result { try TwoHosts() }

    /// A pair for the tests of `doctor` alone: on the one that all tests share there is always something wrong.
    static var ofDoctor: TwoHosts { get throws { try doctorPair.get() } }
}
