# A stand-in for Slicer's build tree, just enough to configure this extension and to see what Slicer would install.
# Written from the documented behaviour of the real macros: every relative path is kept, all modules of an extension
# share one folder, a missing file or an unknown keyword ends the configuration.
set(Slicer_VERSION 5.12.0)
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseFakeSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/FakeGenerateConfig.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/FakeCPack.cmake")
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "lib/Slicer-5.12/qt-scripted-modules")
